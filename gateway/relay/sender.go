package relay

import (
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// sendPatience is how long [stream.TryWrite] waits for its messages to be published. On a healthy
// connection that takes microseconds.
const sendPatience = 200 * time.Millisecond

// A sender publishes the messages of all streams of a node, one message of each stream in turn.
// nats.go blocks its callers while it connects, up to the dial timeout, and while the network takes
// nothing. Only the goroutine of run is blocked by that, and it holds no lock.
//
// Memory is bounded. The queue of a stream holds at most a window of data, four kindRead, and a
// kindOpen, kindEnd or kindBreak. Each answer to an unknown stream has its own queue; there are not
// more of these than messages received, of which nats.go buffers 65,536.
type sender struct {
	publish func(*nats.Msg) error

	mu   sync.Mutex // the innermost lock of the package
	wake sync.Cond  // on mu: ready or closed has changed
	// Guarded by mu.
	ready  []*sendQueue // the queues with messages, the next one to serve first
	began  time.Time    // when the current publish began; zero if there is none
	closed bool
}

// A sendQueue holds the messages of one stream that wait to be published, in order. The sender's mu
// guards messages.
type sendQueue struct {
	messages []outgoing
	// sent is called, with no lock held, after each publish with its error.
	sent func(outgoing, error)
}

// An outgoing is a message to be published.
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

// drop empties a queue. A message that is just being published is still sent.
func (s *sender) drop(q *sendQueue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q.messages = nil
}

// stalled reports whether the current publish has been blocked for longer than sendPatience.
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

// next waits for a message and removes it from its queue. It returns false when the sender is
// closed and the queues are empty.
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
			continue // its messages were dropped
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

// close makes run return when it has published all queued messages. Messages put later may not be
// sent.
func (s *sender) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.wake.Signal()
}
