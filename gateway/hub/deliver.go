package hub

import (
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/ramainen/doit-socket/internal/wire"
)

// work delivers the messages of the users that hash to one worker, until Close sends nil.
func (h *Hub) work(messages <-chan *nats.Msg) {
	var deliveries []delivery // reused from message to message
	var receipt []byte
	received := time.Now()
	for m := <-messages; m != nil; m = <-messages {
		before := received
		received = time.Now()
		if len(messages) >= cap(messages)-1 {
			h.flooded(before)
		}
		deliveries = deliveries[:0]
		count := 0
		switch op := m.Header.Get(wire.HeaderOp); op {
		case "":
			deliveries, count = h.deliver(m, deliveries)
		case wire.OpCount, wire.OpDisconnect:
			sockets := h.sockets(m.Subject)
			count = len(sockets)
			if op == wire.OpDisconnect {
				for _, s := range sockets {
					s.conn.Close()
				}
			}
		default:
			h.Metrics.dropped.WithLabelValues("unknown op").Inc()
			continue
		}
		if m.Reply != "" {
			receipt = wire.Receipt{Sockets: count, Node: h.Node}.Append(receipt[:0])
			if err := h.nc.Publish(m.Reply, receipt); err != nil {
				h.Metrics.dropped.WithLabelValues("receipt").Inc()
			}
		}
		clear(deliveries)
	}
}

// A delivery is a socket that was offered an event, and whether it took it.
type delivery struct {
	socket *Socket
	took   bool
}

// deliver serves the sockets of a message's user. The receipt comes after the
// write: what it counts, the kernel has, or a queue that the kernel did not empty.
func (h *Hub) deliver(m *nats.Msg, deliveries []delivery) ([]delivery, int) {
	if err := wire.Check(m.Data); err != nil {
		h.Metrics.dropped.WithLabelValues("malformed").Inc()
		return deliveries, 0
	}
	deliveries = h.offer(m.Subject, m.Data, m.Header.Get(wire.HeaderExcept), deliveries)
	return deliveries, h.written(deliveries)
}

// Emit serves the sockets that a user has on this node, in the caller's
// goroutine, and returns how many took the event, as a receipt would. Other
// nodes hear nothing of it. The payload must pass [wire.Check].
func (h *Hub) Emit(subject string, payload []byte) (sockets int) {
	var few [4]delivery
	return h.written(h.offer(subject, payload, "", few[:0]))
}

// offer queues an event for every socket of its user but one. All of the
// user's sockets get his events in one order, also if several goroutines have
// one for him.
func (h *Hub) offer(subject string, payload []byte, except string, deliveries []delivery) []delivery {
	message := &Message{Payload: payload}
	h.mu.RLock()
	defer h.mu.RUnlock()
	u := h.users[subject]
	if u == nil {
		return deliveries
	}
	u.offering.Lock()
	defer u.offering.Unlock()
	for _, s := range u.sockets {
		if except != "" && s.conn.ID() == except {
			continue
		}
		deliveries = append(deliveries, delivery{s, s.conn.Send(message)})
	}
	return deliveries
}

// written flushes the sockets and returns how many took the event and are still open.
func (h *Hub) written(deliveries []delivery) int {
	count := flush(deliveries)
	h.Metrics.delivered.Add(float64(count))
	return count
}

// flush writes to the sockets, also to those that took nothing, which may have
// to close, and returns how many took the event and are still open.
func flush(deliveries []delivery) (alive int) {
	for _, d := range deliveries {
		if open := d.socket.conn.Flush(); open && d.took {
			alive++
		}
	}
	return alive
}

// sockets lists the sockets of a user.
func (h *Hub) sockets(subject string) []*Socket {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if u := h.users[subject]; u != nil {
		return slices.Clone(u.sockets)
	}
	return nil
}
