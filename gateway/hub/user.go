package hub

import (
	"slices"
	"strings"
	"sync"
)

// A burst is what goes to a socket in one write, where events for one user
// come faster than they are written: up to this many events, of up to so many
// bytes together, or one event that is larger.
const (
	burstEvents = 16
	burstBytes  = 16 << 10
)

// A user is an id with a socket on this node, or with a subscription that is to be given up.
type user struct {
	subject string

	// Guarded by registry.mu.

	sub     subscription // none until NATS was asked for it
	sockets []*Socket
	// The user's present burst has been sent to sockets[:done] and is to be sent to
	// sockets[done:due]; the rest has come meanwhile. The holder of turn changes
	// them under the read lock.
	done, due int

	queue queue      // of events that wait for their turn
	turn  sync.Mutex // held while events are sent to the sockets
}

// remove takes a socket from the user. The caller holds registry.mu.
func (u *user) remove(s *Socket) {
	hole := slices.Index(u.sockets, s)
	for _, end := range []*int{&u.done, &u.due} {
		if hole < *end { // filled by the last of this part, so that the hole moves on to the next part
			*end--
			u.sockets[hole] = u.sockets[*end]
			hole = *end
		}
	}
	last := len(u.sockets) - 1
	u.sockets[hole], u.sockets[last] = u.sockets[last], nil
	u.sockets = u.sockets[:last]
}

// A recipient is a socket that is to get a message that is not for one user.
// Sockets with one prefix of subjects are in one namespace.
type recipient struct {
	socket *Socket
	prefix string // of the subject of a user that the socket holds
}

// recipients appends the user's sockets. The caller holds registry.mu, or its read lock.
func (u *user) recipients(to []recipient) []recipient {
	prefix := u.subject[:strings.LastIndexByte(u.subject, '.')]
	for _, s := range u.sockets {
		to = append(to, recipient{s, prefix})
	}
	return to
}

// An emit is an event on its way to the sockets of one user.
type emit struct {
	Message
	except  string // the id of a socket that does not get it
	next    *emit  // the one behind it
	taken   bool   // from the queue; guarded by user.turn
	sockets int    // how many took it and were open after the write
}

// A queue is a list of events in their order. Its bound in bytes belongs into add.
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
