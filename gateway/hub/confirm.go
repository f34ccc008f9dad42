package hub

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ramainen/doit-socket/internal/wire"
)

// A confirmer holds what NATS has not yet confirmed: the registrations whose
// subscriptions it may not have, and the subscriptions that it may still
// have. They are confirmed together: one round trip to the server answers for
// everything before it.
type confirmer struct {
	wake chan struct{} // one token: something waits

	mu sync.Mutex
	// Guarded by mu.
	waiting []registration
	leaving map[*nats.Subscription]uint64 // and how often nats.go had reconnected then
	closed  bool
}

// A registration waits for NATS.
type registration struct {
	socket *Socket
	done   func(error)
}

// push adds a registration; it returns false once the hub has closed.
func (c *confirmer) push(r registration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.waiting = append(c.waiting, r)
	c.wakeUp()
	return true
}

func (c *confirmer) wakeUp() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// maxLeaving bounds the subscriptions that wait, each for NATS to confirm that
// it is given up. Beyond it they are not waited for.
const maxLeaving = 10000

// leave adds a subscription that is about to be given up; it returns false
// where nobody will wait for that.
func (c *confirmer) leave(sub *nats.Subscription, reconnects uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.leaving) >= maxLeaving {
		return false
	}
	c.leaving[sub] = reconnects
	c.wakeUp()
	return true
}

func (c *confirmer) takeWaiting(last bool) []registration {
	c.mu.Lock()
	defer c.mu.Unlock()
	waiting := c.waiting
	c.waiting, c.closed = nil, last
	return waiting
}

func (c *confirmer) listLeaving() []*nats.Subscription {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.leaving))
}

// anyFromBefore reports whether one of those that still leave, of the list,
// began to on an earlier connection than this.
func (c *confirmer) anyFromBefore(leaving []*nats.Subscription, reconnects uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(leaving, func(sub *nats.Subscription) bool {
		began, still := c.leaving[sub]
		return still && began < reconnects
	})
}

// left makes nats.go forget subscriptions that NATS has given up, if it has
// not yet. It returns false if one had been forgotten before.
func (c *confirmer) left(leaving []*nats.Subscription) (inTime bool) {
	inTime = true
	for _, sub := range leaving {
		if errors.Is(sub.Unsubscribe(), nats.ErrBadSubscription) {
			inTime = false
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, sub := range leaving {
		delete(c.leaving, sub)
	}
	return inTime
}

// retire gives up a user's subscription. The caller holds mu, so that nothing
// is subscribed anew in between.
//
// By Unsubscribe nats.go would forget the subscription before the server has:
// a message on its way would vanish and its emit get no answer. Drain keeps it
// until the server has confirmed, so that the worker answers with a zero. But
// a Drain that meets a lost connection is subscribed again on the next one, and
// then forgotten without a word to the server. So it is used only while there
// is a connection, and lost ends it with the connection; if that comes too late,
// another connection puts it right.
//
// Other servers of a cluster forget it later still, and pass on messages until
// then to this one, which has nobody for them. So the ingests are told.
func (h *Hub) retire(sub *nats.Subscription) error {
	reconnects, forget := h.nc.Stats().Reconnects, sub.Unsubscribe
	if h.nc.IsConnected() && h.confirm.leave(sub, reconnects) {
		forget = sub.Drain
	}
	if err := forget(); err != nil || h.nc.ConnectedClusterName() == "" {
		return err
	}
	return h.nc.Publish(wire.SubjectLeft, []byte(sub.Subject))
}

// forsake ends what was leaving when the connection was lost: the server has
// forgotten it, and nats.go must before it is connected again.
func (h *Hub) forsake() {
	if !h.confirm.left(h.confirm.listLeaving()) && h.nc.IsConnected() {
		_ = h.nc.ForceReconnect()
	}
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
			waiting := h.confirm.takeWaiting(true)
			h.confirm.left(h.confirm.listLeaving())
			for _, r := range waiting {
				r.done(ErrGone)
			}
			return
		}
		waiting, leaving := h.confirm.takeWaiting(false), h.confirm.listLeaving()
		losses, err := h.reach()
		if err == nil {
			if h.confirm.anyFromBefore(leaving, h.nc.Stats().Reconnects) {
				_ = h.nc.ForceReconnect() // lost has not come yet
			}
			h.confirm.left(leaving)
			h.confirmed(waiting, losses)
			if len(waiting) > 0 {
				err = h.settle()
			}
		}
		for _, r := range waiting {
			r.done(err)
		}
	}
}

// confirmed notes which sockets can miss something from now on: those that
// NATS had when the bus had been lost so many times.
func (h *Hub) confirmed(waiting []registration, losses uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range waiting {
		if !r.socket.confirmed {
			r.socket.confirmed, r.socket.losses = true, losses
		}
	}
}

// reach returns once NATS has seen all subscriptions made so far, and how
// often the bus had been lost before. While the bus is down it waits; it gives
// up only when the hub closes.
func (h *Hub) reach() (losses uint64, err error) {
	for {
		asked := time.Now()
		losses = h.gaps.lossesSoFar()
		ctx, cancel := context.WithTimeout(h.closing, roundTrip)
		err := h.nc.FlushWithContext(ctx)
		cancel()
		if err == nil {
			h.gaps.reachedAt(asked)
			return losses, nil
		}
		if err := h.pause(retry); err != nil {
			return 0, err
		}
	}
}

// settle returns nil once the other nodes of a cluster know what NATS has seen.
func (h *Hub) settle() error {
	if h.nc.ConnectedClusterName() == "" {
		return nil
	}
	return h.pause(h.Settle)
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
