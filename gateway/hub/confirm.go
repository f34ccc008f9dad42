package hub

import (
	"context"
	"sync"
	"time"
)

// A confirmer holds the registrations whose subscription NATS has not yet
// confirmed. They are confirmed together: one round trip to the server
// answers for everything subscribed before it.
type confirmer struct {
	wake chan struct{} // one token: something waits

	mu sync.Mutex
	// Guarded by mu.
	waiting []func(error)
	closed  bool
}

// push adds a registration's done; it returns false once the hub has closed.
func (c *confirmer) push(done func(error)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.waiting = append(c.waiting, done)
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return true
}

func (c *confirmer) take(last bool) []func(error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	batch := c.waiting
	c.waiting, c.closed = nil, last
	return batch
}

// roundTrip bounds one attempt to hear from NATS; retry is the pause after a failed one.
const (
	roundTrip = 5 * time.Second
	retry     = 50 * time.Millisecond
)

// runConfirm confirms until the hub closes. Every registration waits, also one
// for a user that is subscribed already: that subscription may be as young, or
// young on the node of a cluster to which the connection has just moved.
func (h *Hub) runConfirm() {
	for {
		select {
		case <-h.confirm.wake:
		case <-h.closing.Done():
			for _, done := range h.confirm.take(true) {
				done(ErrGone)
			}
			return
		}
		batch := h.confirm.take(false)
		err := h.reach()
		if err == nil && h.nc.ConnectedClusterName() != "" {
			err = h.pause(h.Settle)
		}
		for _, done := range batch {
			done(err)
		}
	}
}

// reach returns nil once NATS has seen all subscriptions made so far. While
// the bus is down it waits; it gives up only when the hub closes.
func (h *Hub) reach() error {
	for {
		ctx, cancel := context.WithTimeout(h.closing, roundTrip)
		err := h.nc.FlushWithContext(ctx)
		cancel()
		if err == nil {
			return nil
		}
		if err := h.pause(retry); err != nil {
			return err
		}
	}
}

// pause waits, or returns ErrGone as soon as the hub closes.
func (h *Hub) pause(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-h.closing.Done():
		return ErrGone
	}
}
