package hub

import (
	"hash/maphash"
	"runtime"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/internal/wire"
)

// backlog is how many messages may wait in a worker's channel. nats.go drops further ones: they get
// no receipt, and gap.go tells the sockets that missed them. A bound in bytes would go here, too.
const backlog = 65536

// workers distributes the users over one worker for each processor, by a hash of their subjects.
type workers struct {
	seed     maphash.Seed
	channels []chan *nats.Msg // one for each worker; a nil message ends the worker
}

func newWorkers() *workers {
	w := &workers{seed: maphash.MakeSeed(), channels: make([]chan *nats.Msg, runtime.GOMAXPROCS(0))}
	for i := range w.channels {
		w.channels[i] = make(chan *nats.Msg, backlog)
	}
	return w
}

// channel returns the channel for the messages of a user. It is the same for every subscription of
// the user.
func (w *workers) channel(subject string) chan *nats.Msg {
	return w.channels[maphash.String(w.seed, subject)%uint64(len(w.channels))]
}

// A worker handles the messages from NATS for the users that hash to it. Its fields are used by the
// goroutine of run only.
type worker struct {
	node       string
	nc         *nats.Conn
	registry   *registry
	fanout     *fanout
	overflowed func(since time.Time)
	dropped    *prometheus.CounterVec
	messages   <-chan *nats.Msg

	received time.Time   // when the last message was received
	ahead    *nats.Msg   // the next message: received, but not in batch
	ended    bool        // the nil message was received
	batch    []*nats.Msg // the messages being handled: events of one user, or one operation
	events   []emit      // events[i] is that of batch[i]
	receipt  []byte      // buffer for the next receipt
}

// run handles messages until it receives nil.
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

// next fills batch: it waits for a message and, if that is an event, adds the events for the same
// user that directly follow it in the channel. It returns false at the end.
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

// take stores a message received from the channel in ahead. A full channel may mean that messages
// were dropped.
func (w *worker) take(m *nats.Msg) {
	before := w.received
	w.received = time.Now()
	if len(w.messages) >= cap(w.messages)-1 {
		w.overflowed(before)
	}
	w.ahead, w.ended = m, m == nil
}

// deliver sends the events of the batch to the sockets of their user, then answers each with its
// receipt. So an event that a receipt counts was written to the kernel, or is in a socket's queue
// because the kernel took no more.
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

// answer publishes a receipt if the message has a reply subject. If NATS does not respond it
// blocks, and so does the worker.
func (w *worker) answer(m *nats.Msg, sockets int) {
	if m.Reply == "" {
		return
	}
	w.receipt = wire.Receipt{Sockets: sockets, Node: w.node}.Append(w.receipt[:0])
	if err := w.nc.Publish(m.Reply, w.receipt); err != nil {
		w.dropped.WithLabelValues("receipt").Inc()
	}
}
