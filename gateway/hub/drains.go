package hub

import (
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/nats-io/nats.go"
)

// maxDrains bounds the drains in progress, each of which is a goroutine and a round trip of nats.go.
// Further users keep their subscription until the server has confirmed these.
const maxDrains = 128

// drains holds the subscriptions whose drain has begun and that NATS has not confirmed as removed
// yet. The goroutine of subscriptions.run adds them. It ends them, too, as does the nats.go
// goroutine that reports a lost connection.
type drains struct {
	mu   sync.Mutex
	subs map[*nats.Subscription]uint64 // with the number of reconnects before the drain began; guarded by mu
}

func newDrains() *drains { return &drains{subs: make(map[*nats.Subscription]uint64)} }

// room returns how many further drains may begin.
func (d *drains) room() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maxDrains - len(d.subs)
}

// add adds a subscription that is about to be drained. It returns false at maxDrains.
func (d *drains) add(sub *nats.Subscription, reconnects uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.subs) >= maxDrains {
		return false
	}
	d.subs[sub] = reconnects
	return true
}

// list returns the subscriptions that are being drained.
func (d *drains) list() []*nats.Subscription {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Keys(d.subs))
}

// anyBefore reports whether a drain of the list that began on an earlier connection is still in
// progress. reconnects is the number of reconnects before the current connection.
func (d *drains) anyBefore(list []*nats.Subscription, reconnects uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(list, func(sub *nats.Subscription) bool {
		began, draining := d.subs[sub]
		return draining && began < reconnects
	})
}

// end unsubscribes the subscriptions of the list and removes them from drains. It returns false if
// nats.go had already removed one of them by itself. It needs the lock of the connection, so it may
// wait.
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
