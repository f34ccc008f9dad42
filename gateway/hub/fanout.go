package hub

import "github.com/prometheus/client_golang/prometheus"

// few is how many sockets are served at a time: what was read of them to queue
// the events is still in the processor's cache when they are written to.
const few = 32

// A fanout sends events to the sockets of their users. Its methods may be
// called from any goroutine.
//
// An event from NATS (worker.go) or of this process ([Hub.Emit]) goes through
//
//	deliver        into the user's queue, and waits for the user's turn
//	write          takes a burst from the queue
//	registry.send  Conn.Send of 32 sockets
//	delivery.flush Conn.Flush of these sockets
//
// Turns between users, in slices of bytes and time, belong in deliver.
type fanout struct {
	registry  *registry
	delivered prometheus.Counter
}

// deliver sends a chain of events to the sockets of their user, and notes for
// each event how many took it and are still open. All sockets of a user get the
// user's events in one order, also where several goroutines have some: they
// take turns, and the one whose turn it is writes whatever waits.
func (f *fanout) deliver(subject string, chain *emit) {
	u := f.registry.find(subject)
	if u == nil {
		return
	}
	last := u.queue.add(chain)
	u.turn.Lock()
	defer u.turn.Unlock()
	for !last.taken {
		f.write(u, u.queue.takeBurst())
	}
}

// write sends a burst to all sockets of a user, a few at a time. Sockets that
// came after its begin, or have gone since, are skipped. The caller has the turn.
func (f *fanout) write(u *user, burst *emit) {
	var room [few]delivery
	delivered := 0
	for first, more := true, true; more; first = false {
		var out []delivery
		out, more = f.registry.send(u, burst, first, room[:0])
		for _, d := range out {
			took := d.flush()
			for e := burst; e != nil && took != 0; e = e.next {
				e.sockets += int(took & 1)
				delivered += int(took & 1)
				took >>= 1
			}
		}
	}
	f.delivered.Add(float64(delivered))
}
