package relay

import (
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// sendPatience is how long a write that must not wait gives NATS to take what
// it has written. A healthy connection takes it within microseconds.
const sendPatience = 200 * time.Millisecond

// A sender publishes the messages of all streams of a node, a message of each
// in turn. nats.go keeps its callers waiting while it connects, up to the dial
// timeout, and while the network takes nothing. Here only the goroutine of run
// waits for that, and it holds no lock.
//
// The memory is bounded: the queue of a stream holds at most a window of data,
// four messages that say what was read, and an open, an end or a break. An
// answer to an unknown stream has a queue of its own; there are no more of them
// than messages that came, of which nats.go keeps 65,536.
type sender struct {
	publish func(*nats.Msg) error

	mu   sync.Mutex // the innermost lock of the package
	wake sync.Cond  // on mu: ready or closed has changed
	// Guarded by mu.
	ready  []*sendQueue // queues with messages, in the order of their turns
	began  time.Time    // of the publish that is under way; zero if none is
	closed bool
}

// A sendQueue holds the messages of one stream that wait to be sent, in their
// order. The sender's mu guards it.
type sendQueue struct {
	messages []outgoing
	// sent is called, without any lock, once NATS has taken or refused a message.
	sent func(outgoing, error)
}

// An outgoing is a message on its way to NATS.
type outgoing struct {
	kind byte
	msg  nats.Msg
}

func newSender(publish func(*nats.Msg) error) *sender {
	s := &sender{publish: publish}
	s.wake.L = &s.mu
	return s
}

// put appends a message to a queue. It never waits for NATS.
func (s *sender) put(q *sendQueue, m outgoing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q.messages = append(q.messages, m); len(q.messages) == 1 {
		s.ready = append(s.ready, q)
		s.wake.Signal()
	}
}

// drop empties a queue. A message that is being published is not affected.
func (s *sender) drop(q *sendQueue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q.messages = nil
}

// stalled reports whether NATS has taken nothing for longer than sendPatience.
func (s *sender) stalled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.began.IsZero() && time.Since(s.began) > sendPatience
}

// run publishes until close is called and all queues are empty.
func (s *sender) run() {
	for {
		q, m, ok := s.next()
		if !ok {
			return
		}
		q.sent(m, s.publish(&m.msg))
	}
}

// next waits for a message and takes it from its queue.
func (s *sender) next() (*sendQueue, outgoing, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.began = time.Time{}
	for {
		for len(s.ready) == 0 {
			if s.closed {
				return nil, outgoing{}, false
			}
			s.ready = nil
			s.wake.Wait()
		}
		q := s.ready[0]
		s.ready[0] = nil
		s.ready = s.ready[1:]
		if len(q.messages) == 0 {
			continue // dropped
		}
		m := q.messages[0]
		q.messages[0] = outgoing{}
		if q.messages = q.messages[1:]; len(q.messages) == 0 {
			q.messages = nil
		} else {
			s.ready = append(s.ready, q)
		}
		s.began = time.Now()
		return q, m, true
	}
}

// close lets run end once it has published what is queued. What is put later may
// not be sent.
func (s *sender) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.wake.Signal()
}
