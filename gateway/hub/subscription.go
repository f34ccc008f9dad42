package hub

import "github.com/nats-io/nats.go"

// A subscription is the NATS subscription of a user.
type subscription struct {
	nats    *nats.Subscription // nil if there is none
	round   uint64             // the round of subscriptions.apply that made it
	counted int                // dropped messages that countDropped has returned
}

// exists reports whether the user is subscribed.
func (s *subscription) exists() bool { return s.nats != nil }

// countDropped returns how many messages nats.go has dropped since the last call because the
// worker's channel was full. nats.go's error handler cannot be used for that: it is called only for
// the first drop of a series. countDropped takes the lock of the subscription, which nats.go never
// holds while it waits.
func (s *subscription) countDropped() int {
	if s.nats == nil {
		return 0
	}
	dropped, err := s.nats.Dropped()
	if err != nil {
		return 0 // the connection is closed
	}
	n := dropped - s.counted
	s.counted = dropped
	return n
}
