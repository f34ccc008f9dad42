package hub

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ramainen/doit-socket/internal/natstest"
)

func quick() nats.Option {
	return func(o *nats.Options) error {
		o.MaxReconnect, o.ReconnectWait, o.ReconnectJitter = -1, 5*time.Millisecond, 0
		o.ReconnectBufSize = -1 // as daemon.Connect sets it
		return nil
	}
}

// While NATS is down, done is not called, and registering a new user is no error. Once NATS is back, done is soon
// called for every registration that waited.
func TestDoneWaitsForTheBus(t *testing.T) {
	s := natstest.Start(t)
	nc := natstest.Connect(t, s, quick())
	b := &bench{t: t, server: s, hub: newHub(t, nc)}
	b.page("user.before")
	natstest.Stop(s)
	natstest.Await(t, "disconnect", func() bool { return !nc.IsConnected() })

	const waiting = 40
	type outcome struct {
		err    error
		status nats.Status
	}
	done := make(chan outcome, 2*waiting)
	for i := range waiting {
		socket := attach(&recorder{})
		to := []string{fmt.Sprint("user.", i%30), "user.before"}
		b.hub.Register(socket, to, func(err error) { done <- outcome{err, nc.Status()} })
	}
	again := natstest.Restart(t, s)
	b.server = again
	for range waiting {
		select {
		case o := <-done:
			if o.err != nil || o.status != nats.CONNECTED {
				t.Fatalf("done got %v while the connection was %v", o.err, o.status)
			}
		case <-time.After(natstest.Patience):
			t.Fatal("a registration was not answered")
		}
	}
	b.pub = natstest.Connect(t, again)
	for i := range waiting {
		if r, _ := b.emit(event(fmt.Sprint("user.", i%30), `["e"]`)); r.Sockets == 0 {
			t.Errorf("user %d is not reachable", i%30)
		}
	}
	if r, _ := b.emit(event("user.before", `["e"]`)); r.Sockets != waiting+1 {
		t.Errorf("%+v", r)
	}
	if len(done) > 0 {
		t.Errorf("%d calls of done too many", len(done))
	}
}

// In a cluster an emit through any server reaches a user right after done is called.
func TestSettleOnEveryNode(t *testing.T) {
	nodes := natstest.Cluster(t, 3)
	b := &bench{t: t, server: nodes[0], hub: newHub(t, natstest.Connect(t, nodes[0]))}
	var publishers []*nats.Conn
	for _, node := range nodes {
		publishers = append(publishers, natstest.Connect(t, node))
	}
	for i := range 10 {
		page, _ := b.page(fmt.Sprint("user.", i))
		for _, b.pub = range publishers {
			if r, _ := b.emit(event(fmt.Sprint("user.", i), `["e"]`)); r.Sockets != 1 {
				t.Fatalf("user %d: %+v", i, r)
			}
		}
		if heard := page.take(); len(heard) != len(nodes) {
			t.Fatalf("heard %q", heard)
		}
	}
}

// When the hub's connection moves to another server of the cluster, all of its subscriptions are new there. A
// registration then waits for the other servers even if its user was subscribed long before.
func TestSettleAfterAMove(t *testing.T) {
	nodes := natstest.Cluster(t, 3)
	nc, err := nats.Connect(nodes[1].ClientURL()+","+nodes[0].ClientURL(), quick(), nats.DontRandomize(), nats.IgnoreDiscoveredServers())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	b := &bench{t: t, server: nodes[0], hub: newHub(t, nc, func(o *Options) { o.Settle = 300 * time.Millisecond })}
	b.page("user.42")
	natstest.Stop(nodes[1])
	natstest.Await(t, "move", func() bool { return nc.ConnectedUrl() == nodes[0].ClientURL() })

	moved := time.Now()
	b.page("user.42")
	if waited := time.Since(moved); waited < b.hub.options.Settle {
		t.Errorf("confirmed after %v", waited)
	}
}

// Each registration is answered once, with ErrGone, even if it is made while the hub closes. No goroutine is left
// (TestMain).
func TestCloseAnswersEachOnce(t *testing.T) {
	s := natstest.Start(t)
	nc := natstest.Connect(t, s, quick())
	h := newHub(t, nc)
	natstest.Stop(s)
	natstest.Await(t, "disconnect", func() bool { return !nc.IsConnected() })

	const before, racing = 50, 50
	var mu sync.Mutex
	answers := make([]int, before+racing)
	var wrong []error
	register := func(i int) {
		h.Register(attach(&recorder{}), []string{fmt.Sprint("user.", i)}, func(err error) {
			mu.Lock()
			defer mu.Unlock()
			answers[i]++
			if !errors.Is(err, ErrGone) {
				wrong = append(wrong, err)
			}
		})
	}
	for i := range before {
		register(i)
	}
	var rest sync.WaitGroup
	for i := before; i < before+racing; i++ {
		rest.Go(func() { register(i) })
	}
	h.Close()
	rest.Wait()
	if slices.ContainsFunc(answers, func(n int) bool { return n != 1 }) || len(wrong) > 0 {
		t.Errorf("answers %v, wrong %v", answers, wrong)
	}
	h.Close()
}

// Closing the hub under load, while its connection is drained or closed, neither panics nor hangs.
func TestCloseUnderLoad(t *testing.T) {
	s := natstest.Start(t)
	stop := make(chan struct{})
	var load sync.WaitGroup
	for range 2 {
		bus := natstest.Connect(t, s)
		load.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if bus.Publish("user.42", []byte(`["e"]`)) != nil || n%1000 == 0 && bus.Flush() != nil {
					t.Error("the load broke off")
					return
				}
			}
		})
	}
	defer load.Wait()
	defer close(stop)
	for i := range 24 {
		nc := natstest.Connect(t, s)
		heard := make(chan struct{}, 1)
		b := &bench{t: t, server: s, hub: newHub(t, nc)}
		socket := attach(sendFunc(func(*Message) bool {
			select {
			case heard <- struct{}{}:
			default:
			}
			return true
		}))
		if err := b.register(socket, "user.42"); err != nil {
			t.Fatal(err)
		}
		<-heard
		var both sync.WaitGroup
		both.Go(func() {
			if i%2 == 0 {
				nc.Close()
			} else if err := nc.Drain(); err != nil {
				t.Error(err)
			}
		})
		both.Go(b.hub.Close)
		both.Wait()
	}
}
