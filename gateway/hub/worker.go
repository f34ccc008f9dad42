package hub

import (
	"hash/maphash"
	"runtime"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/internal/wire"
)

// backlog is how many messages may wait for a worker. nats.go drops what finds
// no room; no receipt is sent for it, and gap.go tells the sockets that missed
// it. A bound in bytes belongs here, too.
const backlog = 65536

// workers share the users out between the processors.
type workers struct {
	seed     maphash.Seed
	channels []chan *nats.Msg // one for each worker; nil ends it
}

func newWorkers() *workers {
	w := &workers{seed: maphash.MakeSeed(), channels: make([]chan *nats.Msg, runtime.GOMAXPROCS(0))}
	for i := range w.channels {
		w.channels[i] = make(chan *nats.Msg, backlog)
	}
	return w
}

// channel returns where a user's messages go, whichever subscription they come from.
func (w *workers) channel(subject string) chan *nats.Msg {
	return w.channels[maphash.String(w.seed, subject)%uint64(len(w.channels))]
}

// A worker handles the messages from NATS of the users that hash to it. One
// goroutine runs it; it has no lock.
type worker struct {
	node       string
	nc         *nats.Conn
	registry   *registry
	fanout     *fanout
	overflowed func(since time.Time)
	dropped    *prometheus.CounterVec
	messages   <-chan *nats.Msg

	received time.Time   // when the last message was
	ahead    *nats.Msg   // received, and yet to be handled
	ended    bool        // no message will come
	batch    []*nats.Msg // being handled: events of one user, or one message with an operation
	events   []emit      // those of batch
	receipt  []byte      // room for the next one
}

// run handles messages until nil comes.
func (w *worker) run() {
	w.received = time.Now()
	w.batch, w.events = make([]*nats.Msg, 0, burstEvents), make([]emit, burstEvents)
	for w.next() {
		switch m := w.batch[0]; m.Header.Get(wire.HeaderOp) {
		case "":
			w.deliver()
		case wire.OpCount:
			w.answer(m, len(w.registry.sockets(m.Subject)))
		case wire.OpDisconnect:
			sockets := w.registry.sockets(m.Subject)
			for _, s := range sockets {
				s.conn.Close()
			}
			w.answer(m, len(sockets))
		default:
			w.dropped.WithLabelValues("unknown op").Inc()
		}
	}
}

// next waits for a message and, if it is an event, takes those for the same
// user that are right behind it. It returns false at the end.
func (w *worker) next() bool {
	clear(w.batch)
	w.batch = w.batch[:0]
	if w.ahead == nil && !w.ended {
		w.take(<-w.messages)
	}
	if w.ahead == nil {
		return false
	}
	for w.ahead != nil && len(w.batch) < burstEvents {
		if len(w.batch) > 0 && !follows(w.batch[0], w.ahead) {
			break
		}
		w.batch, w.ahead = append(w.batch, w.ahead), nil
		select {
		case m := <-w.messages:
			w.take(m)
		default:
		}
	}
	return true
}

// follows reports whether both messages are events of one user.
func follows(first, m *nats.Msg) bool {
	return m.Subject == first.Subject && m.Header.Get(wire.HeaderOp) == "" && first.Header.Get(wire.HeaderOp) == ""
}

func (w *worker) take(m *nats.Msg) {
	before := w.received
	w.received = time.Now()
	if len(w.messages) >= cap(w.messages)-1 {
		w.overflowed(before)
	}
	w.ahead, w.ended = m, m == nil
}

// deliver sends the events of the batch to the sockets of their user. The
// receipts come after the write: the events that they count are in the kernel,
// or in a queue that the kernel had no room for.
func (w *worker) deliver() {
	var first, last *emit
	for i, m := range w.batch {
		e := &w.events[i]
		*e = emit{Message: Message{Payload: m.Data}, except: m.Header.Get(wire.HeaderExcept)}
		switch {
		case wire.Check(m.Data) != nil:
			w.dropped.WithLabelValues("malformed").Inc()
			continue
		case first == nil:
			first = e
		default:
			last.next = e
		}
		last = e
	}
	if first != nil {
		w.fanout.deliver(w.batch[0].Subject, first)
	}
	for i, m := range w.batch {
		w.answer(m, w.events[i].sockets)
	}
	clear(w.events)
}

// answer sends a receipt, if one is asked for. Where NATS is silent it waits, and the worker with it.
func (w *worker) answer(m *nats.Msg, sockets int) {
	if m.Reply == "" {
		return
	}
	w.receipt = wire.Receipt{Sockets: sockets, Node: w.node}.Append(w.receipt[:0])
	if err := w.nc.Publish(m.Reply, w.receipt); err != nil {
		w.dropped.WithLabelValues("receipt").Inc()
	}
}
