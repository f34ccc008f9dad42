package publish

import (
	"context"
	"sync"
	"time"

	"github.com/ramainen/doit-socket/internal/wire"
)

// A Gateway is the gateway of this process. It sends an event to the sockets of the users of the subjects and returns
// for each subject how many sockets took it, or a negative number if that is not known. For an empty subject that is
// zero. It waits for users that are busy until bound has passed or ctx ends, or, if first is set, until a socket of any
// user took the event. It must be safe for concurrent use.
type Gateway func(ctx context.Context, bound time.Duration, m wire.Message, subjects []string, first bool) (sockets []int)

// process is the carrier that calls the gateway of this process.
type process struct {
	alone   func() bool
	gateway Gateway

	mu sync.Mutex
	// Guarded by mu.
	notAloneAt time.Time // when an emit last found that another node could have sockets
}

// available reports whether an emit may use this carrier: no other node can have sockets now, or was found to have some
// within the last quiet. The wait keeps emits in order: an earlier emit, sent over NATS, may already be answered by
// another node and still be under way to the sockets here. quiet is twice the longest time of an emit.
func (c *process) available(quiet time.Duration) bool {
	alone := c.alone()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !alone {
		c.notAloneAt = time.Now()
	}
	return alone && time.Since(c.notAloneAt) >= quiet
}

func (c *process) carry(ctx context.Context, r request) ([]Outcome, error) {
	outcomes := make([]Outcome, len(r.subjects))
	known, reached := true, false
	for i, sockets := range c.gateway(ctx, r.bound, r.message, r.subjects, r.policy == FirstReceipt) {
		switch {
		case sockets > 0:
			outcomes[i] = Outcome{State: Reached, Sockets: sockets}
			reached = true
		case sockets == 0:
			outcomes[i].State = Nobody
		default:
			known = false
		}
	}
	switch {
	case known, reached && r.policy == FirstReceipt:
		return outcomes, nil
	case ctx.Err() != nil:
		return outcomes, interrupted(ctx)
	default:
		return outcomes, ErrUnconfirmed
	}
}
