package hub

import (
	"errors"
	"io"
	"sync"
	"time"
)

// transit is the longest time between the emit of a message and its loss. A gap begins this much
// earlier than the loss.
const transit = time.Second

// losses records the losses of the connection to NATS.
type losses struct {
	mu sync.Mutex
	// Guarded by mu.
	count    uint64    // how often the connection was lost
	since    time.Time // begin of the current gap, which not every socket has been told of; zero if there is none
	answered time.Time // when the last answered round trip began: no event from before it is missing
}

// soFar returns how often the connection was lost.
func (l *losses) soFar() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// firstUntold returns the begin of the current gap, zero if there is none.
func (l *losses) firstUntold() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.since
}

// add records a loss. err is the error of nats.go. silence is how long nats.go waits for answers to
// its pings before it considers the connection lost.
func (l *losses) add(err error, silence time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	if !l.since.IsZero() {
		return
	}
	l.since = time.Now()
	if !errors.Is(err, io.EOF) {
		// The server did not close the connection, so events may be missing since
		// it fell silent: as long ago as nats.go waits, but not before its last answer.
		l.since = l.since.Add(-silence)
		if l.since.Before(l.answered) {
			l.since = l.answered
		}
	}
	l.since = l.since.Add(-transit)
}

// noteAnswer records that NATS has answered a round trip that began at the time asked.
func (l *losses) noteAnswer(asked time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answered = asked
}

// noteTold records that every socket was told of the first count losses, which ends the gap. It
// returns false, and records nothing, if the connection has been lost again since.
func (l *losses) noteTold(count uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count != count {
		return false
	}
	l.since = time.Time{}
	return true
}
