package hub

import "github.com/nats-io/nats.go"

// A subscription is a user's at NATS.
type subscription struct {
	nats    *nats.Subscription // nil if there is none
	counted int                // dropped messages that are in the metric
}

func (s *subscription) exists() bool { return s.nats != nil }

// countDropped returns how many messages found no room in the worker's channel
// since the last call. nats.go calls its error handler only for the first of a
// series, so the worker looks out for series. It needs the lock of the
// subscription, which nats.go never holds while it waits.
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
