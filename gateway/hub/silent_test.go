package hub

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ramainen/doit-socket/internal/natstest"
)

// silence is how long nats.go waits, holding the lock of its connection, for a server that accepts the connection and
// sends nothing. It is far longer than any test waits.
const silence = 6 * natstest.Patience

// dials is a dialer for nats.go that reports each established connection.
type dials chan struct{}

func (d dials) Dial(network, address string) (net.Conn, error) {
	c, err := net.Dial(network, address)
	if err == nil {
		d <- struct{}{}
	}
	return c, err
}

// newSilentBench returns a bench whose server can be made silent.
func newSilentBench(t *testing.T) (b *bench, silent func(), speak func()) {
	dialed := make(dials, 100)
	b, proxy := behindProxy(t, nats.SetCustomDialer(dialed), nats.Timeout(silence))
	<-dialed
	silent = func() {
		proxy.Freeze(true, true)
		proxy.Cut()
		<-dialed // from now on nats.go holds its lock until the server sends something
	}
	return b, silent, func() { proxy.Freeze(false, false) }
}

// within fails the test if f takes longer than [natstest.Patience]. It returns how long it took.
func within(t *testing.T, what string, f func()) time.Duration {
	t.Helper()
	began := time.Now()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(natstest.Patience):
		t.Fatalf("%s waits for NATS", what)
	}
	return time.Since(began)
}

// While nats.go holds its lock because the server is silent, registrations wait. Nothing else does: Detach, Emit and
// Users return. Afterwards the server has the subscriptions that the hub wants.
func TestOnlyRegistrationsWaitForASilentServer(t *testing.T) {
	b, silent, speak := newSilentBench(t)
	stays, _ := b.page("user.stays")
	_, goes := b.page("user.goes", "user.shared")
	_, gives := b.page("user.given-up", "user.shared")
	silent()
	t.Cleanup(speak) // Close needs it, even if the test fails
	locked := make(chan struct{})
	go func() {
		defer close(locked)
		b.hub.nc.IsConnected()
	}()

	registered := make(chan error, 2)
	comes := &recorder{}
	took := map[string]time.Duration{
		"Register": within(t, "Register", func() {
			for _, c := range []*recorder{comes, {}} {
				b.hub.Register(attach(c), []string{"user.stays", "user.new"}, func(err error) { registered <- err })
			}
		}),
		"Unregister": within(t, "Unregister", func() { b.hub.Unregister(gives, []string{"user.given-up"}) }),
		"Detach":     within(t, "Detach", func() { b.hub.Detach(goes) }),
		"Emit": within(t, "Emit", func() {
			for to, want := range map[string]int{"user.stays": 3, "user.new": 2, "user.shared": 1, "user.goes": 0, "user.given-up": 0} {
				if n := emitHere(b.hub, to, `["e"]`); n != want {
					t.Errorf("%s: %d, want %d", to, n, want)
				}
			}
		}),
		"Users": within(t, "Users", func() {
			if n := b.hub.Users(); n != 3 {
				t.Errorf("%d users", n)
			}
		}),
	}
	t.Log(took)
	if len(stays.take()) != 1 || len(comes.take()) != 2 {
		t.Error("not heard")
	}
	select {
	case err := <-registered:
		t.Errorf("a registration was answered with %v", err)
	case <-locked:
		t.Error("nats.go did not hold its lock all the time: the test shows nothing")
	default:
	}

	speak()
	for range 2 {
		select {
		case err := <-registered:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(natstest.Patience):
			t.Fatal("a registration was not answered")
		}
	}
	b.awaitUsers(3)
	for to, want := range map[string]int{"user.stays": 3, "user.new": 2, "user.shared": 1} {
		if r, _ := b.emit(event(to, `["e"]`)); r.Sockets != want {
			t.Errorf("%s: %+v, want %d", to, r, want)
		}
	}
}

// If many users come and go while NATS is silent, the hub keeps only those that have a socket or a subscription.
func TestWhatWaitsForNATSIsBounded(t *testing.T) {
	b, silent, speak := newSilentBench(t)
	_, first := b.page("user.first")
	silent()
	t.Cleanup(speak)
	within(t, "churn", func() {
		b.hub.Detach(first)
		for i := range 10000 {
			s := attach(&recorder{})
			subjects := []string{fmt.Sprint("user.", i), "user.first"}
			if _, err := b.hub.registry.add(s, subjects); err != nil {
				t.Error(err)
			}
			if i%2 == 0 {
				b.hub.Unregister(s, subjects)
			}
			b.hub.Detach(s)
		}
	})
	b.hub.registry.mu.RLock()
	users, changed := len(b.hub.registry.users), len(b.hub.registry.changed)
	b.hub.registry.mu.RUnlock()
	if users > 1 || changed > 1 {
		t.Errorf("%d users and %d changes are kept", users, changed)
	}
	speak()
	b.awaitUsers(0)
}

// A user that comes back before the unsubscribe was sent keeps the subscription. The server notices nothing, and no
// message is lost.
func TestASubscriptionIsKept(t *testing.T) {
	b, proxy := behindProxy(t)
	_, s := b.page("user.42")
	sub := b.hub.registry.find("user.42").sub.nats
	proxy.Freeze(true, false)
	busy := make(chan error, 1)
	b.hub.Register(attach(&recorder{}), []string{"user.busy"}, func(err error) { busy <- err })
	natstest.Await(t, "subscription", func() bool { // now the hub waits for the server
		b.hub.registry.mu.RLock()
		defer b.hub.registry.mu.RUnlock()
		return b.hub.registry.users["user.busy"].sub.exists()
	})
	b.hub.Detach(s)
	again := make(chan error, 1)
	b.hub.Register(attach(&recorder{}), []string{"user.42"}, func(err error) { again <- err })
	proxy.Freeze(false, false)
	if err := errors.Join(<-busy, <-again); err != nil {
		t.Fatal(err)
	}
	if b.hub.registry.find("user.42").sub.nats != sub {
		t.Error("another subscription")
	}
	if n := b.users(); n != 2 {
		t.Errorf("%d subscriptions", n)
	}
}

// A flaky is a dialer of nats.go that refuses, or breaks a connection while
// its subscriptions are sent, or does neither.
type flaky struct{ refuses, breaks atomic.Bool }

func (f *flaky) Dial(network, address string) (net.Conn, error) {
	if f.refuses.Load() {
		return nil, errors.New("refused by the test")
	}
	c, err := net.Dial(network, address)
	if err == nil && f.breaks.Swap(false) {
		return breaking{c}, nil
	}
	return c, err
}

type breaking struct{ net.Conn }

func (c breaking) Write(b []byte) (int, error) {
	if bytes.HasPrefix(b, []byte("SUB ")) {
		_ = c.Close() // so what follows fails, too
	}
	return c.Conn.Write(b)
}

// After an attempt to reconnect that has discarded the PING of a Flush, nats.go
// takes the answer to each later Flush for the answer to the one before.
// Registrations are confirmed all the same.
func TestAnswersOfAnotherFlush(t *testing.T) {
	s := natstest.Start(t)
	dialer := &flaky{}
	nc := natstest.Connect(t, s, quick(), nats.SetCustomDialer(dialer))
	b := &bench{t: t, server: s, hub: newHub(t, nc)}
	b.page("user.42")
	dialer.refuses.Store(true)
	if err := nc.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	flushed := make(chan struct{})
	go func() {
		defer close(flushed)
		_ = nc.Flush()
	}()
	natstest.Await(t, "the PING to wait", func() bool { n, _ := nc.Buffered(); return n > 0 })
	dialer.breaks.Store(true)
	dialer.refuses.Store(false)
	natstest.Await(t, "connection", func() bool { return !dialer.breaks.Load() && nc.IsConnected() })
	b.page("user.43")
	if n := nc.Stats().Reconnects; n != 3 { // the broken one, the next, and the one that the hub asks for
		t.Errorf("%d connections", n)
	}
	<-flushed
}

// A registration that nats.go refuses is refused each time, also if another socket has the same user. The socket keeps
// the users that it had before.
func TestRefusedAgainAndAgain(t *testing.T) {
	b := newBench(t)
	held, s := b.page("user.held")
	second := attach(&recorder{})
	added, err := b.hub.registry.add(second, []string{"user..bad"}) // not yet passed to subscriptions.go
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := b.register(s, "user.held", "user..bad"); !errors.Is(err, nats.ErrBadSubject) {
			t.Errorf("%v", err)
		}
	}
	done := make(chan error, 1)
	b.hub.subscriptions.push(registration{second, added, added, func(err error) { done <- err }})
	if err := <-done; !errors.Is(err, nats.ErrBadSubject) {
		t.Errorf("the second: %v", err)
	}
	b.emit(event("user.held", `["fence"]`))
	if heard := held.take(); !slices.Equal(heard, []string{`["fence"]`}) {
		t.Errorf("heard %q", heard)
	}
	if b.users() != 1 || b.hub.Users() != 1 {
		t.Errorf("%d subscriptions, %d users", b.users(), b.hub.Users())
	}
}
