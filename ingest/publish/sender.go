package publish

import "github.com/nats-io/nats.go"

// A sender publishes for all emits, one message of each in turn. Its goroutine is the only one that waits while
// nats.go connects: emits end at their bound meanwhile. The queue holds nothing, so a message whose emit has ended is
// not sent later.
type sender struct {
	nc    *nats.Conn
	queue chan publication
}

// A publication is a message to be published, and where an error of publishing goes.
type publication struct {
	message *nats.Msg
	failed  chan<- error // has room for one; further errors are dropped
}

func newSender(nc *nats.Conn) *sender {
	return &sender{nc: nc, queue: make(chan publication)}
}

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
