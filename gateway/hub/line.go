package hub

import (
	"sync"
	"sync/atomic"

	"github.com/ramainen/doit-socket/internal/budget"
)

// A line holds users whose events wait, in the order in which they are served. Each is served for
// [slice] and then goes to the end of the line if more of his events wait. So a user with many
// sockets, or many events, delays the others by one slice each round. A user is in his line at most
// once, because only who has his turn adds him.
//
// A worker serves the users of its line. Any goroutine may add one.
type line struct {
	wake   signal // raised when a user is added
	budget *budget.Budget
	bytes  atomic.Int64 // what admit has counted and release has not

	mu sync.Mutex
	// Guarded by mu, as is user.behind.
	first, last *user
}

// add adds a user at the end. The caller has the user's turn, and leaves it to the line.
func (l *line) add(u *user) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == nil {
		l.first = u
	} else {
		l.last.behind = u
	}
	l.last = u
	l.wake.raise()
}

// take removes the first user and returns it, nil if the line is empty. The caller has got the
// user's turn.
func (l *line) take() (u *user) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if u = l.first; u == nil {
		return nil
	}
	l.first, u.behind = u.behind, nil
	if l.first == nil {
		l.last = nil
	}
	return u
}

// empty reports whether no user is in the line.
func (l *line) empty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first == nil
}

// admit counts an event from NATS for a user of this line, until release. It reports whether there is
// room for it. The payload is counted once for all events that share it.
func (l *line) admit(e *emit) bool {
	n := overhead
	if e.message.waiting.Add(1) == 1 {
		n += len(e.message.Payload)
	}
	if l.bytes.Add(int64(n)) <= backlogBytes && l.budget.Take(n) {
		return true
	}
	l.budget.Add(n) // so that release can return it
	l.release(e)
	return false
}

// release uncounts an event that admit has counted.
func (l *line) release(e *emit) {
	n := overhead
	if e.message.waiting.Add(-1) == 0 {
		n += len(e.message.Payload)
	}
	l.bytes.Add(-int64(n))
	l.budget.Return(n)
}
