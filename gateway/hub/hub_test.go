package hub

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ramainen/doit-socket/internal/daemon"
	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/wire"
)

func (b *bench) page(subjects ...string) (*recorder, *Socket) {
	b.t.Helper()
	c := &recorder{id: fmt.Sprint("page-", subjects)}
	s := attach(c)
	b.t.Cleanup(func() { b.hub.Detach(s) })
	if err := b.register(s, subjects...); err != nil {
		b.t.Fatal(err)
	}
	return c, s
}

func TestASocketHoldsAtMost32Users(t *testing.T) {
	b := newBench(t)
	var all []string
	for i := range b.hub.options.MaxUsers {
		all = append(all, subject(t, fmt.Sprint(i)))
	}
	_, s := b.page(all...)
	if err := b.register(s, all[0], all[0], all[1]); err != nil {
		t.Errorf("again what it holds: %v", err)
	}
	if err := b.register(s, all[0], subject(t, "one more")); !errors.Is(err, ErrTooManyUsers) {
		t.Errorf("a 33rd: %v", err)
	}
	if b.users() != b.hub.options.MaxUsers {
		t.Errorf("%d subscriptions", b.users())
	}
}

// Messages that cannot be sent to a browser are counted and answered with a receipt of zero sockets.
func TestMalformedMessagesAreDropped(t *testing.T) {
	b := newBench(t)
	page, _ := b.page("user.42")
	for _, payload := range []string{``, `{}`, `[]`, `[1]`, `["a"`, "[\"a\",\"\xff\"]", `["disconnect"]`} {
		if r, ok := b.emit(event("user.42", payload)); !ok || r.Sockets != 0 {
			t.Errorf("%q: %+v, %v", payload, r, ok)
		}
	}
	if heard := page.take(); len(heard) > 0 {
		t.Errorf("heard %q", heard)
	}
}

func TestHeaders(t *testing.T) {
	b := newBench(t)
	one, _ := b.page("user.42")
	two, _ := b.page("user.42")
	two.id = "two"
	ask := func(key, value string) wire.Receipt {
		m := event("user.42", `["e"]`)
		m.Header.Set(key, value)
		r, _ := b.emit(m)
		return r
	}
	if r := ask("X-Unknown", "1"); r != (wire.Receipt{Sockets: 2, Node: "gw"}) {
		t.Errorf("an unknown header: %+v", r)
	}
	if r := ask(wire.HeaderExcept, "two"); r.Sockets != 1 {
		t.Errorf("except one: %+v", r)
	}
	if r := ask(wire.HeaderOp, wire.OpCount); r.Sockets != 2 {
		t.Errorf("count: %+v", r)
	}
	if len(one.take()) != 2 || len(two.take()) != 1 {
		t.Error("not heard by those who should")
	}
	if r := ask(wire.HeaderOp, wire.OpDisconnect); r.Sockets != 2 || !one.closed || !two.closed {
		t.Errorf("disconnect: %+v", r)
	}
}

func TestASocketThatTakesNothingIsNotCounted(t *testing.T) {
	b := newBench(t)
	b.page("user.42")
	full, _ := b.page("user.42")
	full.full = true
	if r, _ := b.emit(event("user.42", `["e"]`)); r.Sockets != 1 {
		t.Errorf("%+v", r)
	}
}

// Right after done is called, an emit from any connection reaches the socket.
func TestRegisteredMeansReachable(t *testing.T) {
	b := newBench(t)
	for i := range 2000 {
		to := subject(t, fmt.Sprint("u", i))
		c := &recorder{}
		s := attach(c)
		if err := b.register(s, to); err != nil {
			t.Fatal(err)
		}
		if r, _ := b.emit(event(to, `["e"]`)); r.Sockets != 1 {
			t.Fatalf("user %d: %+v", i, r)
		}
		b.hub.Detach(s)
	}
	if b.users() != 0 {
		t.Errorf("%d subscriptions are left", b.users())
	}
}

// Many users share few workers while sockets come and go. Each user's messages stay in order.
func TestOrderUnderChurn(t *testing.T) {
	b := newBench(t)
	const users, emits = 20, 300
	var pages []*recorder
	for i := range users {
		c, _ := b.page(subject(t, fmt.Sprint(i)))
		pages = append(pages, c)
	}
	stop := make(chan struct{})
	var churn sync.WaitGroup
	for i := range 4 {
		churn.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				s := attach(&recorder{})
				b.hub.Register(s, []string{fmt.Sprintf("user.%d", i), fmt.Sprintf("user.x%d", i)}, func(error) {})
				b.hub.Unregister(s, []string{fmt.Sprintf("user.%d", i)})
				b.hub.Detach(s)
			}
		})
	}
	for n := range emits {
		for i := range users {
			if err := b.pub.Publish(fmt.Sprintf("user.%d", i), fmt.Appendf(nil, `["e",%d]`, n)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range users {
		b.emit(event(fmt.Sprintf("user.%d", i), `["fence"]`))
	}
	close(stop)
	churn.Wait()
	var want []string
	for n := range emits {
		want = append(want, fmt.Sprintf(`["e",%d]`, n))
	}
	want = append(want, `["fence"]`)
	for i, c := range pages {
		if heard := c.take(); !slices.Equal(heard, want) {
			t.Errorf("user %d heard %d events, not in order or not all", i, len(heard))
		}
	}
	if b.users() != users {
		t.Errorf("%d subscriptions for %d users", b.users(), users)
	}
}

// Registrations wait while NATS is down. When it is back, all sockets are reachable.
func TestTheBusGoesAndComesBack(t *testing.T) {
	s := natstest.Start(t)
	nc := natstest.Connect(t, s, nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
	b := &bench{t: t, server: s, hub: newHub(t, nc)}
	before, _ := b.page("user.before")
	natstest.Stop(s)

	while := &recorder{}
	socket := attach(while)
	done := make(chan error, 1)
	b.hub.Register(socket, []string{"user.while"}, func(err error) { done <- err })
	b.server = natstest.Restart(t, s)
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(natstest.Patience):
		t.Fatal("the registration was not answered")
	}
	b.pub = natstest.Connect(t, b.server)
	for to, c := range map[string]*recorder{"user.before": before, "user.while": while} {
		if r, _ := b.emit(event(to, `["e"]`)); r.Sockets != 1 || len(c.take()) != 1 {
			t.Errorf("%s: %+v", to, r)
		}
	}
}

// Close answers the registrations that wait.
func TestCloseAnswersPendingRegistrations(t *testing.T) {
	s := natstest.Start(t)
	nc := natstest.Connect(t, s, nats.MaxReconnects(-1))
	h := newHub(t, nc)
	natstest.Stop(s)
	done := make(chan error, 1)
	h.Register(attach(&recorder{}), []string{"user.42"}, func(err error) { done <- err })
	h.Close()
	select {
	case err := <-done:
		if !errors.Is(err, ErrGone) {
			t.Errorf("%v", err)
		}
	case <-time.After(natstest.Patience):
		t.Fatal("not answered")
	}
}

// In a cluster, done is called only after the other servers have the subscription.
func TestSettle(t *testing.T) {
	nodes := natstest.Cluster(t, 3)
	here := natstest.Connect(t, nodes[0])
	b := &bench{t: t, server: nodes[0], hub: newHub(t, here), pub: natstest.Connect(t, nodes[2])}
	for i := range 20 {
		to := subject(t, fmt.Sprint(i))
		b.page(to)
		if r, _ := b.emit(event(to, `["e"]`)); r.Sockets != 1 {
			t.Fatalf("user %d: %+v", i, r)
		}
	}
}

// The receipt does not count a socket that its own Flush closes.
func TestASocketThatIsClosedAfterTheFlushIsNotCounted(t *testing.T) {
	b := newBench(t)
	b.page("user.42")
	dead, _ := b.page("user.42")
	dead.Close()
	if r, _ := b.emit(event("user.42", `["e"]`)); r.Sockets != 1 {
		t.Errorf("%+v", r)
	}
	if got := counter(t, b.hub.options.Metrics.delivered, ""); got != 1 {
		t.Errorf("%v delivered", got)
	}
}

// Register and Detach may come in any order, and Detach twice. Nothing of the socket remains.
func TestRegisterRacesWithDetach(t *testing.T) {
	b := newBench(t)
	var done sync.WaitGroup
	for i := range 500 {
		s := attach(&recorder{})
		done.Add(1)
		done.Go(func() { b.hub.Register(s, []string{fmt.Sprint("user.", i%7)}, func(error) { done.Done() }) })
		done.Go(func() { b.hub.Detach(s) })
		done.Go(func() { b.hub.Detach(s); b.hub.Unregister(s, []string{fmt.Sprint("user.", i%7)}) })
	}
	done.Wait()
	if b.users() != 0 || b.hub.Users() != 0 {
		t.Errorf("%d subscriptions and %d users are left", b.users(), b.hub.Users())
	}
}

// While a hub closes, every emit gets a receipt or "no responders".
func TestCloseLeavesNoEmitWithoutAnAnswer(t *testing.T) {
	b := newBench(t)
	for range 30 {
		nc := natstest.Connect(t, b.server)
		closing := &bench{t: t, server: b.server, hub: newHub(t, nc)}
		closing.page("user.42")
		var ended sync.WaitGroup
		ended.Go(func() { closing.hub.Close(); daemon.Drain(nc) })
		for there := true; there; {
			_, there = b.emit(event("user.42", `["e"]`))
		}
		ended.Wait()
	}
}
