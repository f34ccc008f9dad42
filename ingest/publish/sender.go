package publish

import "github.com/nats-io/nats.go"

// A sender publishes the messages of all emits, one message of each in turn. While nats.go connects, only the sender's
// goroutine blocks in it, and the emits still end at their bound. The queue is unbuffered, so a message of an emit that
// has ended is never sent later.
type sender struct {
	nc    *nats.Conn
	queue chan publication
}

// A publication is a message to publish, with the channel for a publish error.
type publication struct {
	message *nats.Msg
	failed  chan<- error // capacity 1; errors after the first are dropped
}

func newSender(nc *nats.Conn) *sender {
	return &sender{nc: nc, queue: make(chan publication)}
}

// run publishes messages until end is closed.
func (s *sender) run(end <-chan struct{}) {
	for {
		select {
		case p := <-s.queue:
			if err := s.nc.PublishMsg(p.message); err != nil {
				select {
				case p.failed <- err:
				default:
				}
			}
		case <-end:
			return
		}
	}
}
