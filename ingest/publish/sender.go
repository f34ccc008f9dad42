package publish

import "github.com/nats-io/nats.go"

const (
	// smallMessage is the largest payload, in bytes, of a message that goes before larger ones.
	smallMessage = 16 << 10
	// smallInRow is how many small messages go before a larger one that waits, at least.
	smallInRow = 64
)

// A sender publishes the messages of all emits, one message of each in turn. A message of 1 MiB takes milliseconds, and
// emits with many of them may run at once, so small messages go first: they wait for one large message at most, and not
// for one of each emit. Large ones get their turn in between.
//
// While nats.go connects, only the sender's goroutine blocks in it, and the emits still end at their bound. The queues
// are unbuffered, so a message of an emit that has ended is never sent later.
type sender struct {
	send         func(*nats.Msg) error // [nats.Conn.PublishMsg]
	small, large chan publication
}

// A publication is a message to publish, with the channel for a publish error.
type publication struct {
	message *nats.Msg
	failed  chan<- error // capacity 1; errors after the first are dropped
}

func newSender(nc *nats.Conn) *sender {
	return &sender{send: nc.PublishMsg, small: make(chan publication), large: make(chan publication)}
}

// queue returns the queue for a message.
func (s *sender) queue(m *nats.Msg) chan<- publication {
	if len(m.Data) <= smallMessage {
		return s.small
	}
	return s.large
}

// run publishes messages until end is closed.
func (s *sender) run(end <-chan struct{}) {
	for inRow := 0; ; {
		if inRow < smallInRow {
			select {
			case p := <-s.small:
				inRow++
				s.publish(p)
				continue
			default:
			}
		}
		select {
		case p := <-s.small:
			inRow++
			s.publish(p)
		case p := <-s.large:
			inRow = 0
			s.publish(p)
		case <-end:
			return
		}
	}
}

func (s *sender) publish(p publication) {
	if err := s.send(p.message); err != nil {
		select {
		case p.failed <- err:
		default:
		}
	}
}
