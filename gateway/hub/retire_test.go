package hub

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/wire"
)

// behindProxy returns a bench whose hub is connected to the server through a proxy. Its publisher is connected
// directly.
func behindProxy(t *testing.T, opts ...nats.Option) (*bench, *natstest.Proxy) {
	s := natstest.Start(t)
	proxy := natstest.StartProxy(t, s)
	nc, err := nats.Connect(proxy.URL(), append([]nats.Option{quick(), nats.IgnoreDiscoveredServers()}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	b := &bench{t: t, server: s, pub: natstest.Connect(t, s), hub: newHub(t, nc)}
	b.emit(event("user.nobody", `["e"]`))
	b.flush()
	b.base = s.NumSubscriptions()
	return b, proxy
}

// A message that was under way when the user's last socket left gets a receipt: of zero sockets, or of the right number
// if the user has come back.
func TestALateMessageIsAnswered(t *testing.T) {
	for name, back := range map[string]bool{"gone": false, "back": true} {
		t.Run(name, func(t *testing.T) {
			b, proxy := behindProxy(t)
			_, s := b.page("user.42")
			proxy.Freeze(true, false)
			b.hub.Detach(s) // the server does not know of it yet
			want := "0 gw"
			if back {
				b.hub.Register(attach(&recorder{}), []string{"user.42"}, func(error) {})
				want = "1 gw"
			}
			answer := make(chan string, 1)
			before := b.hub.nc.Stats().InMsgs
			go func() {
				m, err := b.pub.Request("user.42", []byte(`["e"]`), natstest.Patience)
				if err != nil {
					answer <- err.Error()
					return
				}
				answer <- string(m.Data)
			}()
			natstest.Await(t, "message", func() bool { return b.hub.nc.Stats().InMsgs > before })
			proxy.Freeze(false, false)
			if got := <-answer; got != want {
				t.Errorf("answered %q, want %q", got, want)
			}
		})
	}
}

// In a cluster the ingests are told of each user that is unsubscribed, but not of a user that has another socket here.
func TestLeavingIsTold(t *testing.T) {
	servers := natstest.Cluster(t, 2)
	b := &bench{t: t, server: servers[0], pub: natstest.Connect(t, servers[1]), hub: newHub(t, natstest.Connect(t, servers[0]))}
	told, err := b.pub.SubscribeSync(wire.SubjectLeft)
	if err != nil {
		t.Fatal(err)
	}
	natstest.Await(t, "interest to spread", func() bool {
		if err := b.hub.nc.Publish(wire.SubjectLeft, nil); err != nil {
			t.Fatal(err)
		}
		_, err := told.NextMsg(10 * time.Millisecond)
		return err == nil
	})
	_, one := b.page("user.42", "user.43")
	_, two := b.page("user.42")
	b.hub.Detach(one)
	b.flush()
	b.hub.Detach(two)
	b.flush()
	b.page("user.44")
	b.hub.Close()
	for _, want := range []string{"user.43", "user.42", "user.44"} {
		m, err := told.NextMsg(natstest.Patience)
		for err == nil && len(m.Data) == 0 { // of the wait above
			m, err = told.NextMsg(natstest.Patience)
		}
		if err != nil {
			t.Fatal(err)
		}
		if string(m.Data) != want {
			t.Errorf("told of %q, want %q", m.Data, want)
		}
	}
}

// A user that is unsubscribed while NATS is down, or is being lost, is not subscribed again on the next connection.
func TestNothingIsLeftAtTheServer(t *testing.T) {
	for name, leave := range map[string]func(*bench, *natstest.Proxy, []*Socket){
		"away": func(b *bench, proxy *natstest.Proxy, sockets []*Socket) {
			b.disconnect(proxy)
			for _, s := range sockets {
				b.hub.Detach(s)
			}
		},
		"not confirmed": func(b *bench, proxy *natstest.Proxy, sockets []*Socket) {
			proxy.Freeze(true, false)
			for _, s := range sockets {
				b.hub.Detach(s)
			}
			b.awaitDrains(len(sockets))
			b.disconnect(proxy)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, proxy := behindProxy(t)
			var sockets []*Socket
			for i := range 100 {
				_, s := b.page(fmt.Sprint("user.", i))
				sockets = append(sockets, s)
			}
			leave(b, proxy, sockets)
			proxy.Freeze(false, false)
			natstest.Await(t, "connection", b.hub.nc.IsConnected)
			b.page("user.last") // and all before it is confirmed
			b.awaitUsers(1)
			if n := b.hub.nc.NumSubscriptions(); n != 2 { // with the one for stat
				t.Errorf("nats.go holds %d subscriptions", n)
			}
		})
	}
}

// While the server is down, nats.go drops a removed subscription at once, even if a registration waits. It is not
// subscribed on the next connection, and no second reconnect is needed.
func TestGivenUpWhileTheServerIsAway(t *testing.T) {
	s := natstest.Start(t)
	nc := natstest.Connect(t, s, quick())
	b := &bench{t: t, server: s, hub: newHub(t, nc)}
	var sockets []*Socket
	for i := range 100 {
		_, s := b.page(fmt.Sprint("user.", i))
		sockets = append(sockets, s)
	}
	b.lose()
	waits := make(chan error, 1)
	b.hub.Register(attach(&recorder{}), []string{"user.waits"}, func(err error) { waits <- err })
	natstest.Await(t, "subscription", func() bool { return nc.NumSubscriptions() == 1+100+1 })
	began := time.Now()
	for _, s := range sockets {
		b.hub.Detach(s)
	}
	natstest.Await(t, "end of the subscriptions", func() bool { return nc.NumSubscriptions() == 1+1 })
	if took := time.Since(began); took > roundTrip/2 {
		t.Errorf("given up after %v", took)
	}
	b.comeBack()
	if err := <-waits; err != nil {
		t.Fatal(err)
	}
	b.flush()
	if n := nc.Stats().Reconnects; n != 1 {
		t.Errorf("%d connections", n)
	}
}

// The loss of the connection ends a subscription that was added to drains. A Drain that begins after the loss has no
// effect.
func TestTheLossEndsDrains(t *testing.T) {
	s := natstest.Start(t)
	nc := natstest.Connect(t, s, quick())
	b := &bench{t: t, server: s, hub: newHub(t, nc)}
	b.flush() // from now on the hub is idle
	sub, err := nc.ChanSubscribe("user.42", make(chan *nats.Msg, 1))
	if err != nil {
		t.Fatal(err)
	}
	b.hub.subscriptions.drains.add(sub, nc.Stats().Reconnects)
	b.lose()
	natstest.Await(t, "end of the subscription", func() bool { return !sub.IsValid() })
	if err := sub.Drain(); err != nil || nc.NumSubscriptions() != 1 {
		t.Errorf("%v, %d subscriptions", err, nc.NumSubscriptions())
	}
	b.comeBack()
	b.flush()
	if n := nc.Stats().Reconnects; n != 1 {
		t.Errorf("%d connections", n)
	}
}

// awaitDrains waits until n drains are in progress.
func (b *bench) awaitDrains(n int) {
	b.t.Helper()
	natstest.Await(b.t, "drains", func() bool {
		drains := b.hub.subscriptions.drains.list()
		return len(drains) == n && !slices.ContainsFunc(drains, func(sub *nats.Subscription) bool { return !sub.IsDraining() })
	})
}

// disconnect breaks the connection. The proxy holds back the bytes of the next one.
func (b *bench) disconnect(proxy *natstest.Proxy) {
	before := b.hub.losses.soFar()
	proxy.Freeze(true, true)
	proxy.Cut()
	natstest.Await(b.t, "loss", func() bool { return b.hub.losses.soFar() > before })
}

// The hub is told of the loss only when nats.go is connected again. The drained subscription may have been subscribed
// again, so the hub forces another reconnect, whether or not the new connection has confirmed the drain.
func TestALossThatIsHeardOfTooLate(t *testing.T) {
	for name, confirms := range map[string]bool{"confirmed": true, "not confirmed": false} {
		t.Run(name, func(t *testing.T) {
			back := make(chan struct{})
			b, proxy := behindProxy(t, nats.DisconnectErrHandler(func(*nats.Conn, error) { <-back }))
			_, s := b.page("user.42")
			proxy.Freeze(true, false)
			b.hub.Detach(s)
			b.awaitDrains(1)
			proxy.Cut()
			proxy.Freeze(false, false)
			reconnected := func(times uint64) func() bool {
				return func() bool { return b.hub.nc.Stats().Reconnects >= times && b.hub.nc.IsConnected() }
			}
			natstest.Await(t, "connection", reconnected(1))
			if confirms {
				natstest.Await(t, "confirmation", func() bool { return len(b.hub.subscriptions.drains.list()) == 0 })
			}
			close(back)
			natstest.Await(t, "another connection", reconnected(2))
			b.page("user.last")
			b.awaitUsers(1)
		})
	}
}

// Sockets come and go while the connection breaks again and again. At the end the server has exactly the subscriptions
// of the users that have sockets.
func TestChurnWithLosses(t *testing.T) {
	b, proxy := behindProxy(t)
	random := rand.New(rand.NewPCG(1, 2))
	sockets := make(map[string]*Socket)
	for range 30 {
		for range 100 {
			to := fmt.Sprint("user.", random.IntN(50))
			if s := sockets[to]; s != nil {
				b.hub.Detach(s)
				delete(sockets, to)
				continue
			}
			sockets[to] = attach(&recorder{})
			b.hub.Register(sockets[to], []string{to}, func(err error) {
				if err != nil && !errors.Is(err, ErrGone) {
					t.Error(err)
				}
			})
		}
		proxy.Cut()
	}
	_, last := b.page("user.last")
	b.hub.Detach(last)
	natstest.Await(t, "confirmation", func() bool { return len(b.hub.subscriptions.drains.list()) == 0 })
	b.awaitUsers(len(sockets))
	if n := b.hub.Users(); n != len(sockets) {
		t.Errorf("%d users in the hub, want %d", n, len(sockets))
	}
	if n := b.hub.nc.NumSubscriptions(); n != len(sockets)+1 {
		t.Errorf("nats.go holds %d subscriptions", n)
	}
}
