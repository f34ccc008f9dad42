package hub

import "github.com/prometheus/client_golang/prometheus"

// batchSockets is how many sockets get Send before they get Flush. In a batch of this size a
// socket's memory is still in the processor's cache at its Flush.
const batchSockets = 32

// A fanout sends events to the sockets of their users. It is safe for concurrent use.
//
// An event, from NATS (worker.go) or from this process ([Hub.Emit]), takes these steps:
//
//	deliver         puts it into the user's queue and waits for the user's turn
//	write           takes a burst of events from the queue
//	registry.send   calls Conn.Send of up to 32 sockets
//	delivery.flush  calls Conn.Flush of the same sockets
//
// A scheduler that shares time between users would go into deliver.
type fanout struct {
	registry  *registry
	delivered prometheus.Counter
}

// deliver sends a chain of events to the sockets of one user. It stores in each event how many
// sockets took it and were open afterwards. All sockets of a user get the events in the same order,
// even if several goroutines deliver at once: they take turns by u.turn, and the goroutine that has
// the turn writes the queued events of the others, too.
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

// write sends a burst to the sockets of a user, in batches. It skips sockets that joined or left
// after it began. The caller holds u.turn.
func (f *fanout) write(u *user, burst *emit) {
	var room [batchSockets]delivery
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
