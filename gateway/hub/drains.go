package hub

import (
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/nats-io/nats.go"
)

// maxDrains bounds the subscriptions that wait, each for NATS to confirm that
// it is given up. Beyond it they are not waited for.
const maxDrains = 10000

// drains are the subscriptions that are drained and that NATS may still have.
// They are added by the goroutine of subscriptions.go, and ended by it or by
// the one in which nats.go says that the connection is lost.
type drains struct {
	mu   sync.Mutex
	subs map[*nats.Subscription]uint64 // and how often nats.go had reconnected before; guarded by mu
}

func newDrains() *drains { return &drains{subs: make(map[*nats.Subscription]uint64)} }

// add adds a subscription that is about to be drained. It returns false if there are too many.
func (d *drains) add(sub *nats.Subscription, reconnects uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.subs) >= maxDrains {
		return false
	}
	d.subs[sub] = reconnects
	return true
}

func (d *drains) list() []*nats.Subscription {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Keys(d.subs))
}

// anyBefore reports whether a drain of the list, if it has not ended yet, began
// on an earlier connection than the one after so many reconnects.
func (d *drains) anyBefore(list []*nats.Subscription, reconnects uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(list, func(sub *nats.Subscription) bool {
		began, draining := d.subs[sub]
		return draining && began < reconnects
	})
}

// end makes nats.go forget the subscriptions of the list, if it has not yet. It
// returns false if it had forgotten one before. It needs the lock of the
// connection, so it may wait.
func (d *drains) end(list []*nats.Subscription) (inTime bool) {
	inTime = true
	for _, sub := range list {
		if errors.Is(sub.Unsubscribe(), nats.ErrBadSubscription) {
			inTime = false
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, sub := range list {
		delete(d.subs, sub)
	}
	return inTime
}
