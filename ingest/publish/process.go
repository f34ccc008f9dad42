package publish

import (
	"context"
	"sync"
	"time"

	"github.com/ramainen/doit-socket/internal/wire"
)

// process is the carrier to the gateway of the same process. It keeps every policy: the receipts are there when it
// returns.
type process struct {
	alone func() bool
	emit  func(wire.Message) wire.Receipt

	mu sync.Mutex
	// Guarded by mu.
	accompanied time.Time // when an emit last found other nodes
}

// available reports whether an emit may take this way: no other node could have sockets, nor could in the time called
// quiet, which is twice as long as an emit may take. An emit that another node answered before that may still be on
// its way to the sockets here, and the next one must not overtake it.
func (c *process) available(quiet time.Duration) bool {
	alone := c.alone()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !alone {
		c.accompanied = time.Now()
	}
	return alone && time.Since(c.accompanied) >= quiet
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
