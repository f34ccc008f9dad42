package hub

import "sync"

// A burst is what goes to a socket in one write, where events for one user
// come faster than they are written: up to this many events, of up to so many
// bytes together, or one event that is larger.
const (
	burstEvents = 16
	burstBytes  = 16 << 10
)

// An emit is an event on its way to the sockets of one user.
type emit struct {
	Message
	except  string // the id of a socket that does not get it
	next    *emit  // the one behind it
	taken   bool   // from the queue; guarded by user.turn
	sockets int    // how many took it and were open after the write
}

// A queue is a list of events in their order. Its bound in bytes belongs in add.
type queue struct {
	mu          sync.Mutex
	first, last *emit
}

// add puts a chain of events into the queue, and returns the last of them.
func (q *queue) add(chain *emit) (last *emit) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.first == nil {
		q.first = chain
	} else {
		q.last.next = chain
	}
	for last = chain; last.next != nil; last = last.next {
	}
	q.last = last
	return last
}

// takeBurst takes a burst of events, as a chain, from the queue.
func (q *queue) takeBurst() (chain *emit) {
	q.mu.Lock()
	defer q.mu.Unlock()
	chain = q.first
	bytes := 0
	for n := 1; q.first != nil; n++ {
		e := q.first
		q.first = e.next
		e.taken = true
		if e.next == nil {
			q.last = nil // holds nothing while nobody emits
			break
		}
		if bytes += len(e.Payload); n == burstEvents || bytes+len(e.next.Payload) > burstBytes {
			e.next = nil
			break
		}
	}
	return chain
}
