package hub

import (
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ramainen/doit-socket/internal/wire"
)

// A worker handles the messages from the bus of the users that hash to it.
type worker struct {
	*Hub
	messages <-chan *nats.Msg // nil ends it
	received time.Time        // when the last message was
	ahead    *nats.Msg        // received, and yet to be handled
	ended    bool
	run      []*nats.Msg // being handled: events of one user, or one message with an operation
	events   []emit      // those of run
	receipt  []byte
}

func (h *Hub) work(messages <-chan *nats.Msg) {
	w := &worker{
		Hub: h, messages: messages, received: time.Now(),
		run: make([]*nats.Msg, 0, burstEvents), events: make([]emit, burstEvents),
	}
	for w.next() {
		switch m := w.run[0]; m.Header.Get(wire.HeaderOp) {
		case "":
			w.deliver()
		case wire.OpCount:
			w.answer(m, len(h.sockets(m.Subject)))
		case wire.OpDisconnect:
			sockets := h.sockets(m.Subject)
			for _, s := range sockets {
				s.conn.Close()
			}
			w.answer(m, len(sockets))
		default:
			h.Metrics.dropped.WithLabelValues("unknown op").Inc()
		}
	}
}

// next waits for a message and, if it is an event, takes those for the same
// user that are right behind it. It returns false at the end.
func (w *worker) next() bool {
	clear(w.run)
	w.run = w.run[:0]
	if w.ahead == nil && !w.ended {
		w.take(<-w.messages)
	}
	if w.ahead == nil {
		return false
	}
	for w.ahead != nil && len(w.run) < burstEvents {
		if len(w.run) > 0 && !follows(w.run[0], w.ahead) {
			break
		}
		w.run, w.ahead = append(w.run, w.ahead), nil
		select {
		case m := <-w.messages:
			w.take(m)
		default:
		}
	}
	return true
}

func follows(first, m *nats.Msg) bool {
	return m.Subject == first.Subject && m.Header.Get(wire.HeaderOp) == "" && first.Header.Get(wire.HeaderOp) == ""
}

func (w *worker) take(m *nats.Msg) {
	before := w.received
	w.received = time.Now()
	if len(w.messages) >= cap(w.messages)-1 {
		w.flooded(before)
	}
	w.ahead, w.ended = m, m == nil
}

// deliver serves the sockets of a run's user. The receipts come after the
// write: what they count, the kernel has, or a queue that the kernel did not empty.
func (w *worker) deliver() {
	var first, last *emit
	for i, m := range w.run {
		e := &w.events[i]
		*e = emit{Message: Message{Payload: m.Data}, except: m.Header.Get(wire.HeaderExcept)}
		switch {
		case wire.Check(m.Data) != nil:
			w.Metrics.dropped.WithLabelValues("malformed").Inc()
			continue
		case first == nil:
			first = e
		default:
			last.next = e
		}
		last = e
	}
	if first != nil {
		w.serve(w.run[0].Subject, first)
	}
	for i, m := range w.run {
		w.answer(m, w.events[i].sockets)
	}
	clear(w.events)
}

// answer sends a receipt, if one is asked for.
func (w *worker) answer(m *nats.Msg, sockets int) {
	if m.Reply == "" {
		return
	}
	w.receipt = wire.Receipt{Sockets: sockets, Node: w.Node}.Append(w.receipt[:0])
	if err := w.nc.Publish(m.Reply, w.receipt); err != nil {
		w.Metrics.dropped.WithLabelValues("receipt").Inc()
	}
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
