package publish

import (
	"context"
	"sync"
	"time"

	"github.com/ramainen/doit-socket/internal/wire"
)

// process is the carrier that calls the gateway of this process. It fulfils every policy, because each call returns the
// final receipt.
type process struct {
	alone func() bool
	emit  func(wire.Message) wire.Receipt

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
	for i, subject := range r.subjects {
		if subject == "" {
			outcomes[i].State = Nobody
			continue
		}
		if ctx.Err() != nil {
			return outcomes, interrupted(ctx)
		}
		r.message.Subject = subject
		outcomes[i] = Outcome{State: Nobody}
		if sockets := c.emit(r.message).Sockets; sockets > 0 {
			outcomes[i] = Outcome{State: Reached, Sockets: sockets}
		}
	}
	return outcomes, nil
}
