package hub

import (
	"bytes"
	"hash/maphash"
	"runtime"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/internal/budget"
	"github.com/ramainen/doit-socket/internal/clock"
	"github.com/ramainen/doit-socket/internal/wire"
)

const (
	// backlog is how many messages may wait in a worker's channel. nats.go drops further ones: they
	// get no receipt, and gap.go tells the sockets that missed them.
	backlog = 65536
	// backlogBytes bounds the messages that a worker has taken from its channel and has not finished,
	// with their overhead. Further ones are dropped, as by nats.go. A user alone can fill half of it
	// (queueBytes).
	backlogBytes = 64 << 20
	// intake is how many messages a worker takes from its channel before it serves a user again.
	intake = 4096
)

// workers distributes the users over one worker for each processor, by a hash of their subjects.
type workers struct {
	seed maphash.Seed
	each []*inlet
}

// An inlet is what comes to one worker.
type inlet struct {
	messages chan *nats.Msg // from NATS; a nil message ends the worker
	line     line           // the users whose events wait
}

func newWorkers(b *budget.Budget) workers {
	w := workers{seed: maphash.MakeSeed(), each: make([]*inlet, runtime.GOMAXPROCS(0))}
	for i := range w.each {
		w.each[i] = &inlet{messages: make(chan *nats.Msg, backlog), line: line{wake: newSignal(), budget: b}}
	}
	return w
}

// of returns the inlet of a user's worker. It is the same for every subscription of the user.
func (w *workers) of(subject string) *inlet {
	return w.each[maphash.String(w.seed, subject)%uint64(len(w.each))]
}

// channel returns the channel for the messages of a user.
func (w *workers) channel(subject string) chan *nats.Msg { return w.of(subject).messages }

// A worker handles the messages from NATS for the users that hash to it, and serves the users in its
// line, in turns:
//
//	receive          takes messages from the channel, puts each into the queue of its user, and the user into the line
//	fanout.serve     serves the first user of the line
//
// Its fields are used by the goroutine of run only.
type worker struct {
	registry   *registry
	fanout     *fanout
	overflowed func(since time.Time)
	dropped    *prometheus.CounterVec
	inlet      *inlet

	received time.Time // when the last message was received
	last     *Message  // that of the last event, which stays in memory
	ended    bool      // the nil message was received
}

// run works until the nil message was received and nobody is in the line.
func (w *worker) run() {
	w.received = time.Now()
	yielded := clock.Now()
	for {
		w.receive()
		if u := w.inlet.line.take(); u != nil {
			w.fanout.serve(u)
		} else if w.ended {
			return
		}
		// Emits of this process have their turn too. Not after each user: the goroutine that writes to
		// NATS would run each time, and write each receipt by itself.
		if now := clock.Now(); now-yielded > int64(slice) {
			runtime.Gosched()
			yielded = now
		}
	}
}

// receive takes messages from the channel. It waits for one only if nobody is in the line.
func (w *worker) receive() {
	for range intake {
		select {
		case m := <-w.inlet.messages:
			w.take(m)
			continue
		default:
		}
		break
	}
	if w.ended || !w.inlet.line.empty() {
		return
	}
	select {
	case m := <-w.inlet.messages:
		w.take(m)
	case <-w.inlet.line.wake:
	}
}

// take handles a message from the channel. A full channel may mean that messages were dropped.
func (w *worker) take(m *nats.Msg) {
	before := w.received
	w.received = time.Now()
	if len(w.inlet.messages) >= cap(w.inlet.messages)-1 {
		w.overflowed(before)
	}
	if m == nil {
		w.ended = true
		return
	}
	switch op := m.Header.Get(wire.HeaderOp); op {
	case "":
		w.enqueue(m, w.message(m.Data), "")
	case wire.OpCount:
		w.fanout.answer(m.Reply, len(w.registry.sockets(m.Subject)))
	case wire.OpDisconnect:
		w.enqueue(m, &Message{}, op)
	default:
		w.dropped.WithLabelValues("unknown op").Inc()
	}
}

// message returns the event of a payload, nil if it is malformed. The receivers of one emit, whose
// messages often follow each other, share it.
func (w *worker) message(payload []byte) *Message {
	if w.last != nil && bytes.Equal(payload, w.last.Payload) {
		return w.last
	}
	if wire.Check(payload) != nil {
		w.dropped.WithLabelValues("malformed").Inc()
		return nil
	}
	w.last = &Message{Payload: payload}
	return w.last
}

// enqueue puts an event or an operation into the queue of its user. One that cannot be delivered is
// answered with a receipt of zero sockets. One for which there is no room is dropped, and gap.go
// tells the sockets that missed it.
func (w *worker) enqueue(m *nats.Msg, message *Message, op string) {
	u := w.registry.find(m.Subject)
	if u == nil || message == nil {
		w.fanout.answer(m.Reply, 0)
		return
	}
	e := &emit{message: message, except: m.Header.Get(wire.HeaderExcept), op: op, reply: m.Reply, counted: true}
	line := &w.inlet.line
	if line.admit(e) {
		switch u.queue.add(e) {
		case turn:
			line.add(u)
			return
		case waits:
			return
		case refused:
			line.release(e)
		}
	}
	w.dropped.WithLabelValues("backlog").Inc()
	u.queue.miss()
	w.overflowed(w.received)
}
