package hub

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/internal/clock"
	"github.com/ramainen/doit-socket/internal/wire"
)

const (
	// batchSockets is how many sockets get Send before they get Flush. In a batch of this size a
	// socket's memory is still in the processor's cache at its Flush.
	batchSockets = 32
	// batchBytes bounds a batch in bytes, because a batch is not interrupted. It has one socket at
	// least.
	batchBytes = 256 << 10
	// slice is how long a user is served before others get their turn. A batch is not interrupted, so
	// a turn may take a little longer.
	slice = time.Millisecond
)

// A fanout sends events to the sockets of their users. It is safe for concurrent use.
//
// An event, from NATS (worker.go) or from this process (emit.go), takes these steps:
//
//	queue.add        puts it behind the other events of its user
//	fanout.serve     takes a burst of events, for as long as a turn lasts
//	registry.send    calls Conn.Send of up to 32 sockets
//	delivery.flush   calls Conn.Flush of the same sockets
//	fanout.finish    sends the receipts
//
// A turn that ends before all is sent goes on when the user is first in his line (line.go).
type fanout struct {
	registry  *registry
	workers   workers
	publish   func(subject string, data []byte) error // of nats.go
	node      string                                  // for receipts
	delivered prometheus.Counter
	dropped   *prometheus.CounterVec
}

// serve sends the events of a user to the user's sockets, for a slice of time. All sockets get the
// events in the same order. The caller has the user's turn. When serve returns it no longer has it:
// the turn is over, or the user stands in his line.
func (f *fanout) serve(u *user) {
	end := clock.Now() + int64(slice)
	for over := false; ; over = over || clock.Now() >= end {
		if u.burst == nil {
			burst := u.queue.takeBurst()
			if burst == nil {
				return // the turn may be somebody else's by now
			}
			u.burst, u.begun = burst, false
		}
		if over {
			f.workers.of(u.subject).line.add(u)
			return
		}
		if over = !f.write(u, end); over {
			continue
		}
		burst := u.burst
		u.burst = nil
		f.finish(u, burst)
	}
}

// write sends the user's burst to the user's sockets, in batches. It skips sockets that joined or
// left after the burst began. It stops at the time end, and reports whether the burst was sent to all.
func (f *fanout) write(u *user, end int64) (all bool) {
	if u.burst.op == wire.OpDisconnect {
		f.disconnect(u)
		return true
	}
	bytes := 0
	for e := u.burst; e != nil; e = e.next {
		bytes += len(e.message.Payload)
	}
	var room [batchSockets]delivery
	batch := room[:0:min(batchSockets, 1+batchBytes/(bytes+1))]
	for {
		out, more := f.registry.send(u, u.burst, !u.begun, batch)
		u.begun = true
		delivered := 0
		for _, d := range out {
			took := d.flush()
			for e := u.burst; e != nil && took != 0; e = e.next {
				e.sockets += int(took & 1)
				delivered += int(took & 1)
				took >>= 1
			}
		}
		f.delivered.Add(float64(delivered))
		switch {
		case !more:
			return true
		case clock.Now() >= end:
			return false
		}
	}
}

// disconnect closes the sockets of a user, and counts them.
func (f *fanout) disconnect(u *user) {
	sockets := f.registry.sockets(u.subject)
	for _, s := range sockets {
		s.conn.Close()
	}
	u.burst.sockets = len(sockets)
}

// finish sends the receipts of a burst. So an event that a receipt counts was written to the
// kernel, or is in a socket's queue because the kernel took no more.
func (f *fanout) finish(u *user, burst *emit) {
	for e := burst; e != nil; e = e.next {
		f.answer(e.reply, e.sockets)
		if e.counted {
			f.workers.of(u.subject).line.release(e)
		}
	}
	u.queue.finish(burst)
}

// answer publishes a receipt, unless reply is "". If NATS does not respond it blocks.
func (f *fanout) answer(reply string, sockets int) {
	if reply == "" {
		return
	}
	if err := f.publish(reply, wire.Receipt{Sockets: sockets, Node: f.node}.Append(nil)); err != nil {
		f.dropped.WithLabelValues("receipt").Inc()
	}
}
