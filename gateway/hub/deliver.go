package hub

import (
	"github.com/nats-io/nats.go"
	"github.com/ramainen/doit-socket/internal/wire"
)

// work delivers the messages of the users that hash to one worker, until Close sends nil.
func (h *Hub) work(messages <-chan *nats.Msg) {
	var sockets []*Socket // reused from message to message
	var receipt []byte
	for m := <-messages; m != nil; m = <-messages {
		sockets = sockets[:0]
		count := 0
		switch op := m.Header.Get(wire.HeaderOp); op {
		case "":
			sockets, count = h.deliver(m, sockets)
		case wire.OpCount, wire.OpDisconnect:
			sockets = h.sockets(m.Subject, sockets)
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
		clear(sockets)
	}
}

// deliver queues an event for every socket of its user, then writes. The
// receipt comes after the write: what it counts, the kernel has, or a queue
// that the kernel did not empty.
func (h *Hub) deliver(m *nats.Msg, sockets []*Socket) ([]*Socket, int) {
	if err := wire.Check(m.Data); err != nil {
		h.Metrics.dropped.WithLabelValues("malformed").Inc()
		return sockets, 0
	}
	except := m.Header.Get(wire.HeaderExcept)
	message := &Message{Payload: m.Data}
	count := 0
	h.mu.RLock()
	if u := h.users[m.Subject]; u != nil {
		for _, s := range u.sockets {
			if except != "" && s.conn.ID() == except {
				continue
			}
			if s.conn.Send(message) {
				count++
			}
			sockets = append(sockets, s)
		}
	}
	h.mu.RUnlock()
	for _, s := range sockets {
		s.conn.Flush()
	}
	h.Metrics.delivered.Add(float64(count))
	return sockets, count
}

// sockets appends the sockets of a user.
func (h *Hub) sockets(subject string, to []*Socket) []*Socket {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if u := h.users[subject]; u != nil {
		to = append(to, u.sockets...)
	}
	return to
}
