package listen

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// headPatience is how long a new connection may send no complete head and
	// still stay longer than kept-alive ones. A client sends its head at once, so
	// a second is ten round trips of a slow network. A connection without a head is
	// what a stranger gets most cheaply.
	headPatience = time.Second
	// waitingPart is the part of all connections that may wait for a request: new
	// ones without a head, and kept-alive ones. It bounds the memory of connections
	// that only need to be opened, about 6 KiB each, where the limit on files is
	// very high. Connections that are used wait for milliseconds, so a quarter is
	// ample.
	waitingPart = 4
)

// A connections counts the connections of listeners that share a limit, in all
// and by address. At a limit it closes the connection that has waited longest
// for a request, and refuses the new one only if there is none. Websockets,
// polls, bodies and answers under way are never closed for a new connection.
//
// Of the connections that wait it takes first a new one that has sent no
// complete head for headPatience, then the one that has waited longest, new or
// kept-alive. So strangers that say nothing lose their connections before PHP
// and browsers lose those that they use again, and a flood of new connections
// does not take one that was used a moment ago. A head that comes slowly does
// not make a connection younger. A connection at the listener of emits makes
// room for a browser only if both have the same address and that is at its limit,
// or if no file is left.
//
// It is safe for concurrent use.
type connections struct {
	limits  connectionLimits
	exempt  func(netip.Addr) bool // from the limit per address
	metrics *connectionMetrics
	heads   atomic.Int64 // bytes that are charged for heads of requests

	mu sync.Mutex // innermost: nothing is closed, logged or written while it is held
	// Guarded by mu.
	open      int
	reserved  int                     // of all that are allowed, for the listener of emits alone
	waiting   [2]waiters              // of browsers, and of the listener of emits: see waitersOf
	addresses map[netip.Addr]*address // those that are not exempt and have connections
}

// An address is what is counted of the connections of one address.
type address struct {
	key     netip.Addr
	open    int
	waiting waiters
}

func newConnections(l connectionLimits, exempt func(netip.Addr) bool, m *connectionMetrics) *connections {
	return &connections{limits: l, exempt: exempt, metrics: m, addresses: make(map[netip.Addr]*address)}
}

// reserve keeps a part of what is allowed for the listener of emits, which browsers
// then cannot take: a sixteenth, at most 256.
func (cs *connections) reserve() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.reserved = min(cs.limits.all/16, 256)
}

// admit counts a new connection from peer, or says why it is refused. The caller
// closes the victim, if there is one: the connection that has to make room.
func (cs *connections) admit(c *connection, peer netip.Addr) (victim *connection, why refusal) {
	key := cs.keyOf(peer)
	cs.mu.Lock()
	defer cs.mu.Unlock()
	a := cs.addresses[key]
	most := cs.limits.all
	if !c.listener.emits {
		most -= cs.reserved
	}
	now := time.Now()
	switch {
	case a != nil && cs.limits.perAddress > 0 && a.open >= cs.limits.perAddress:
		if victim = a.waiting.longest(now); victim == nil {
			return nil, tooManyOfAddress
		}
	case cs.limits.all > 0 && cs.waitersOf(c.listener).length() >= max(1, cs.limits.all/waitingPart):
		victim = cs.waitersOf(c.listener).longest(now)
	case cs.limits.all > 0 && cs.open >= most:
		if victim = cs.longest(c.listener, now); victim == nil {
			return nil, tooMany
		}
	}
	if victim != nil {
		cs.evict(victim)
	}
	if key.IsValid() {
		if a = cs.addresses[key]; a == nil { // perhaps it went with the victim
			a = &address{key: key}
			cs.addresses[key] = a
		}
		a.open++
		c.address = a
	}
	cs.open++
	c.listener.open++
	c.counted = true
	c.wait(cs.waitersOf(c.listener), false, now)
	return victim, admitted
}

// makeRoom chooses and uncounts the connection to close first, if it has waited
// for so long. The caller closes it. It is nil if there is none.
func (cs *connections) makeRoom(least time.Duration) *connection {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	now := time.Now()
	victim := cs.longest(nil, now)
	if victim == nil || now.Sub(victim.since) < least {
		return nil
	}
	cs.evict(victim)
	return victim
}

// waitersOf returns those that wait at a listener of this kind.
func (cs *connections) waitersOf(l *listener) *waiters {
	if l.emits {
		return &cs.waiting[1]
	}
	return &cs.waiting[0]
}

// longest returns the connection that makes room at l, or nil if there is none.
// Connections of browsers make room for PHP, and not the other way round. Any
// connection makes room for a nil l.
func (cs *connections) longest(l *listener, now time.Time) *connection {
	victim := cs.waiting[0].longest(now)
	if victim == nil && (l == nil || l.emits) {
		victim = cs.waiting[1].longest(now)
	}
	return victim
}

// evict uncounts a connection that waits. The caller holds mu.
func (cs *connections) evict(c *connection) {
	state := stateNew
	if c.idle {
		state = stateIdle
	}
	cs.metrics.evicted.WithLabelValues(c.listener.name, state).Inc()
	c.evicted.Store(true)
	cs.uncount(c)
}

// release uncounts a connection that is closed, unless it is uncounted already.
func (cs *connections) release(c *connection) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.uncount(c)
}

// uncount is release for a caller that holds mu.
func (cs *connections) uncount(c *connection) {
	if !c.counted {
		return
	}
	c.counted = false
	c.work(cs.waitersOf(c.listener))
	cs.open--
	c.listener.open--
	if a := c.address; a != nil {
		if a.open--; a.open == 0 {
			delete(cs.addresses, a.key)
		}
	}
}

// idle notes that a connection waits for its next request.
func (cs *connections) idle(c *connection) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if c.counted {
		c.work(cs.waitersOf(c.listener)) // net/http may report it twice
		c.wait(cs.waitersOf(c.listener), true, time.Now())
	}
}

// busy notes that a request of a connection is being handled, or that the
// connection belongs to a websocket.
func (cs *connections) busy(c *connection) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c.work(cs.waitersOf(c.listener))
}

// openOf returns how many connections a listener has.
func (cs *connections) openOf(l *listener) int {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return l.open
}

// keyOf returns the address that a peer counts as, an IPv6 address as its /64.
// It is invalid for a peer that is exempt from the limit per address.
func (cs *connections) keyOf(peer netip.Addr) netip.Addr {
	peer = peer.Unmap().WithZone("")
	switch {
	case !peer.IsValid(), cs.exempt != nil && cs.exempt(peer):
		return netip.Addr{}
	case peer.Is6():
		return netip.PrefixFrom(peer, 64).Masked().Addr()
	}
	return peer
}
