package hub

import (
	"errors"
	"io"
	"sync"
	"time"
)

// transit is how long a message may have been on its way when it was lost.
const transit = time.Second

// losses are those of the connection to NATS.
type losses struct {
	mu sync.Mutex
	// Guarded by mu.
	count    uint64    // how often the connection was lost
	since    time.Time // from when on events may be missing of which not every socket was told; zero if none
	answered time.Time // when NATS was asked what it has answered: nothing from before can be missing
}

// soFar returns how often the connection was lost.
func (l *losses) soFar() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// firstUntold returns from when on events may be missing of which not every
// socket was told, zero if there are none.
func (l *losses) firstUntold() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.since
}

// add notes a loss. silence is how long nats.go waits for the answers to its
// pings before it takes the connection for lost.
func (l *losses) add(err error, silence time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	if !l.since.IsZero() {
		return
	}
	l.since = time.Now()
	if !errors.Is(err, io.EOF) {
		// The server did not end the connection, so it may have been silent before.
		l.since = l.since.Add(-silence)
		if l.since.Before(l.answered) {
			l.since = l.answered
		}
	}
	l.since = l.since.Add(-transit)
}

// noteAnswer notes that NATS has answered what it was asked at that time.
func (l *losses) noteAnswer(asked time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answered = asked
}

// noteTold notes that every socket was told of the first count losses. It
// returns false, and notes nothing, if another has come meanwhile.
func (l *losses) noteTold(count uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count != count {
		return false
	}
	l.since = time.Time{}
	return true
}
