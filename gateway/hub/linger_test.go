package hub

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/wire"
)

// newClusterBench returns a bench on a cluster of two servers. The hub is on one of them, its publisher on the other.
func newClusterBench(t *testing.T, change func(*Options)) *bench {
	nodes := natstest.Cluster(t, 2)
	b := &bench{t: t, server: nodes[0], hub: newHub(t, natstest.Connect(t, nodes[0], quick()), change), pub: natstest.Connect(t, nodes[1])}
	b.page("user.first") // as soon as it hears, the publisher's server knows of the hub
	natstest.Await(t, "interest to spread", func() bool { _, ok := b.emit(event("user.first", `["e"]`)); return ok })
	return b
}

// awaitLingering waits until so many users linger.
func (b *bench) awaitLingering(want int) {
	b.t.Helper()
	natstest.Await(b.t, fmt.Sprintf("%d lingering users", want), func() bool {
		b.hub.registry.mu.RLock()
		defer b.hub.registry.mu.RUnlock()
		n := 0
		for _, u := range b.hub.registry.users {
			if len(u.sockets) == 0 && u.sub.exists() {
				n++
			}
		}
		return n == want && len(b.hub.registry.changed) == 0
	})
}

// awaitNobody counts a user's sockets until NATS says that nobody is subscribed. A count that meets the unsubscribe on
// its way between the servers gets no answer.
func (b *bench) awaitNobody(subject string) {
	b.t.Helper()
	natstest.Await(b.t, "nobody", func() bool {
		m := event(subject, "")
		m.Header.Set(wire.HeaderOp, wire.OpCount)
		_, err := b.pub.RequestMsg(m, 20*time.Millisecond)
		return errors.Is(err, nats.ErrNoResponders)
	})
}

// In a cluster, a page that reloads finds its subscription still there. It is registered without a round trip and
// without --settle, and no ingest is told that the user has left.
func TestReloadFindsItsSubscription(t *testing.T) {
	const settle = 300 * time.Millisecond
	b := newClusterBench(t, func(o *Options) { o.Linger, o.Settle = time.Minute, settle })
	told, err := b.pub.SubscribeSync(wire.SubjectLeft)
	if err != nil {
		t.Fatal(err)
	}
	_, s := b.page("user.42")
	sub := b.hub.registry.find("user.42").sub.nats
	b.hub.Detach(s)
	b.awaitLingering(1)
	if n := b.hub.NewUsers([]string{"user.42", "user.43"}); n != 1 {
		t.Errorf("%d of the users are new, want 1", n)
	}
	began := time.Now()
	page, _ := b.page("user.42")
	if took := time.Since(began); took >= settle {
		t.Errorf("confirmed after %v", took)
	}
	if b.hub.registry.find("user.42").sub.nats != sub {
		t.Error("another subscription")
	}
	if r, _ := b.emit(event("user.42", `["e"]`)); r.Sockets != 1 || len(page.take()) != 1 {
		t.Errorf("%+v", r)
	}
	if err := errors.Join(b.hub.nc.Flush(), b.pub.Flush()); err != nil {
		t.Fatal(err)
	}
	if n, _, _ := told.Pending(); n != 0 {
		t.Errorf("told of %d users", n)
	}
}

// A message for a user that lingers is answered with zero sockets, and ends that: soon NATS says that nobody is there,
// as the ingest asks 50 ms later. A page that comes back in between is subscribed after that.
func TestMessageEndsLingering(t *testing.T) {
	b := newClusterBench(t, func(o *Options) { o.Linger, o.Settle = time.Minute, 0 })
	_, s := b.page("user.42")
	b.hub.Detach(s)
	b.awaitLingering(1)
	asked := time.Now()
	if r, ok := b.emit(event("user.42", `["e"]`)); !ok || r.Sockets != 0 {
		t.Fatalf("%+v, %v", r, ok)
	}
	b.awaitLingering(0)
	back := make(chan time.Time, 1)
	b.hub.Register(attach(&recorder{}), []string{"user.42"}, func(error) { back <- time.Now() })
	b.awaitNobody("user.42")
	if took := (<-back).Sub(asked); took < quietTime {
		t.Errorf("subscribed again after %v", took)
	}
	natstest.Await(t, "interest to spread", func() bool { r, _ := b.emit(event("user.42", `["e"]`)); return r.Sockets == 1 })
}

// Lingering ends by itself, and with the connection. Nothing is left of the user.
func TestLingeringEnds(t *testing.T) {
	for name, linger := range map[string]time.Duration{"by itself": 50 * time.Millisecond, "with the connection": time.Minute} {
		t.Run(name, func(t *testing.T) {
			b := newClusterBench(t, func(o *Options) { o.Linger = linger })
			_, s := b.page("user.42")
			b.hub.Detach(s)
			if linger == time.Minute {
				b.awaitLingering(1)
				if err := b.hub.nc.ForceReconnect(); err != nil {
					t.Fatal(err)
				}
			}
			natstest.Await(t, "end of the subscription", func() bool { return b.hub.nc.NumSubscriptions() == 2 }) // stat, user.first
			natstest.Await(t, "end of the user", func() bool { return b.hub.registry.find("user.42") == nil })
			b.awaitNobody("user.42")
		})
	}
}

// Outside of a cluster nothing lingers: a subscription costs one round trip there.
func TestNothingLingersWithoutCluster(t *testing.T) {
	s := natstest.Start(t)
	b := &bench{t: t, server: s, hub: newHub(t, natstest.Connect(t, s), func(o *Options) { o.Linger = time.Minute })}
	_, socket := b.page("user.42")
	b.hub.Detach(socket)
	natstest.Await(t, "end of the subscription", func() bool { return b.hub.nc.NumSubscriptions() == 1 })
}

// At most maxLingering users linger. The oldest are given up first. Without a linger time, all are.
func TestLingeringIsBounded(t *testing.T) {
	const more = 5
	r := newRegistry(1, newSignal())
	now := time.Now()
	leave := func(subject string) {
		s := &Socket{}
		if _, err := r.add(s, []string{subject}); err != nil {
			t.Fatal(err)
		}
		_, wanted, _ := r.takeChanged(now, time.Minute, maxDrains)
		for _, u := range wanted {
			r.subscribed(u, subscription{nats: &nats.Subscription{Subject: u.subject}})
		}
		r.detach(s)
	}
	for i := range more {
		leave(fmt.Sprint("user.old-", i))
	}
	unwanted, _, next := r.takeChanged(now, time.Minute, maxDrains)
	if len(unwanted) != 0 || next != now.Add(time.Minute) {
		t.Errorf("%d are given up, next at %v", len(unwanted), next)
	}
	now = now.Add(time.Second)
	for i := range maxLingering {
		leave(fmt.Sprint("user.", i))
	}
	unwanted, _, _ = r.takeChanged(now, time.Minute, maxDrains)
	if len(r.users) != maxLingering || r.users["user.old-0"] != nil {
		t.Errorf("%d linger, %d are given up at the end", len(r.users), len(unwanted))
	}
	unwanted, _, next = r.takeChanged(now, 0, math.MaxInt)
	if len(unwanted) != maxLingering || len(r.users) != 0 || !next.IsZero() {
		t.Errorf("%d are given up, %d are left, next at %v", len(unwanted), len(r.users), next)
	}
}
