package hub

import "sync"

// A burst is the events that go to a socket in one write, when events for a user arrive faster than
// they are written. It has at most burstEvents events and burstBytes bytes; a larger event is a
// burst by itself.
const (
	burstEvents = 16
	burstBytes  = 16 << 10
)

// An emit is an event on its way to the sockets of one user.
type emit struct {
	Message
	except  string // the id of a socket that does not get it
	next    *emit  // the next one of the chain, or of the queue
	taken   bool   // whether it was taken from the queue; guarded by user.turn
	sockets int    // how many sockets took it and were open after the write
}

// A queue holds the events of one user that wait for the user's turn. A bound in bytes would go
// into add.
type queue struct {
	mu          sync.Mutex
	first, last *emit // guarded by mu
}

// add appends a chain of events and returns its last one.
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

// takeBurst removes a burst from the queue and returns it as a chain, nil if the queue is empty.
// The caller holds user.turn.
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
			q.last = nil // so that an empty queue keeps no event in memory
			break
		}
		if bytes += len(e.Payload); n == burstEvents || bytes+len(e.next.Payload) > burstBytes {
			e.next = nil
			break
		}
	}
	return chain
}
