package publish

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/internal/natstest"
)

// While NATS is down a publisher refuses emits. It works again by itself when NATS is back. It may start before NATS.
func TestNATSComesBack(t *testing.T) {
	first := natstest.Start(t)
	natstest.Stop(first)
	p := newPublisher(t, first.ClientURL())
	refused := func() {
		t.Helper()
		began := time.Now()
		if reached, err := emit(p, []string{"42"}, "e", "1"); reached || !unavailable(err) {
			t.Fatalf("%v, %v", reached, err)
		}
		if time.Since(began) >= Bound {
			t.Error("not refused at once: it waits to be sent later")
		}
		if _, _, err := p.Stat(t.Context()); err == nil {
			t.Error("stat without a bus")
		}
	}
	refused()
	for range 2 {
		s := natstest.Restart(t, first)
		natstest.Await(t, "connection", p.bus.nc.IsConnected)
		gw := natstest.Connect(t, s)
		if _, err := gw.Subscribe("user.42", func(m *nats.Msg) { _ = m.Respond([]byte("1 gw")) }); err != nil {
			t.Fatal(err)
		}
		if err := gw.Flush(); err != nil {
			t.Fatal(err)
		}
		if reached, err := emit(p, []string{"42"}, "e", "1"); !reached || err != nil {
			t.Errorf("%v, %v", reached, err)
		}
		gw.Close()
		natstest.Stop(s)
		natstest.Await(t, "disconnect", func() bool { return !p.bus.nc.IsConnected() })
		refused()
	}
}

// dialing returns a connection that has lost its server and is blocked in the attempt to reconnect, as if the server's
// machine did not respond. nats.go holds the connection's lock until release is called.
func dialing(t *testing.T, lost *server.Server) (p *Publisher, release func()) {
	t.Helper()
	trying, released := make(chan struct{}, 1000), make(chan struct{})
	nc, err := nats.Connect(lost.ClientURL(), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1),
		nats.ReconnectToServer(func(servers []nats.Server, _ nats.ServerInfo) (*nats.Server, time.Duration) {
			trying <- struct{}{}
			<-released
			return &servers[0], 0
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	p = start(t, nc)
	release = sync.OnceFunc(func() { close(released) })
	t.Cleanup(release)
	natstest.Stop(lost)
	<-trying
	return p, release
}

// While nats.go connects, an emit is answered within its bound. A message that could not be sent by then is never sent.
func TestNATSIsBeyondReach(t *testing.T) {
	first := natstest.Start(t)
	p, release := dialing(t, first)
	outcome := make(chan error, 3)
	for range cap(outcome) {
		go func() {
			_, err := emit(p, []string{"42", "43"}, "e", "1")
			outcome <- err
		}()
	}
	for range cap(outcome) {
		select {
		case err := <-outcome:
			if !errors.Is(err, ErrUnconfirmed) {
				t.Errorf("%v", err)
			}
		case <-time.After(natstest.Patience):
			t.Error("not answered")
		}
	}
	s := natstest.Restart(t, first)
	gw := natstest.Connect(t, s)
	heard, err := gw.SubscribeSync("user.*")
	if err != nil {
		t.Fatal(err)
	}
	if err := gw.Flush(); err != nil {
		t.Fatal(err)
	}
	release()
	natstest.Await(t, "connection", p.bus.nc.IsConnected)
	if _, err := emit(p, []string{"42"}, "fence", "1"); !errors.Is(err, ErrUnconfirmed) {
		t.Errorf("%v", err)
	}
	if m, err := heard.NextMsg(natstest.Patience); err != nil || string(m.Data) != `["fence",1]` {
		t.Errorf("heard %v, %v", m, err)
	}
}

// While nats.go connects and an emit waits for it, calls that do not need NATS return, and no lock of this package is
// held.
func TestNothingElseWaitsForADial(t *testing.T) {
	p, _ := dialing(t, natstest.Start(t))
	reg := prometheus.NewRegistry()
	newMetrics(reg, p.bus.collector.backlog())
	local := &here{}
	p.UseGateway(local.alone.Load, local.Emit)
	p.Bound = natstest.Patience
	natstest.Await(t, "the loss to be known", p.bus.stability.lost.Load)
	waiting, end := context.WithCancel(t.Context())
	outcome := make(chan error)
	go func() {
		_, err := p.Publish(waiting, Emit{To: []string{"42"}, Event: "e"}, FirstReceipt)
		outcome <- err
	}()
	natstest.Await(t, "an emit that waits", func() bool {
		p.bus.pending.mu.Lock()
		defer p.bus.pending.mu.Unlock()
		return len(p.bus.pending.emits) == 1
	})

	others := make(chan struct{})
	go func() {
		defer close(others)
		if _, err := reg.Gather(); err != nil {
			t.Error(err)
		}
		if p.bus.stability.stable() {
			t.Error("stable without a connection")
		}
		p.bus.collector.onAnswer(&nats.Msg{Subject: string(p.bus.inbox) + "1.0", Header: nats.Header{"Status": {"503"}}})
		p.bus.collector.onGivenUp(&nats.Msg{Data: []byte("user.42")})
		local.alone.Store(true)
		p.process.notAloneAt = time.Time{}
		if reached, err := emit(p, []string{"u"}, "e", "1"); !reached || err != nil {
			t.Errorf("in the same process: %v, %v", reached, err)
		}
	}()
	select {
	case <-others:
	case <-time.After(natstest.Patience / 2):
		t.Error("the others wait for the dial")
	}

	// Right after a loss the connection still counts as up, and stable waits in nats.go.
	p.bus.stability.lost.Store(false)
	go p.bus.stability.stable()
	natstest.Await(t, "a question that hangs", func() bool {
		stacks := make([]byte, 1<<20)
		return strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "DiscoveredServers")
	})
	if !p.bus.stability.mu.TryLock() {
		t.Error("stability.mu is held while nats.go connects")
	} else {
		p.bus.stability.mu.Unlock()
	}
	end()
	if err := <-outcome; !errors.Is(err, ErrUnstable) && !errors.Is(err, context.Canceled) {
		t.Errorf("the emit that waits: %v", err)
	}
}

// An emit is not confirmed if NATS is lost, or the publisher closes, while it waits.
func TestTheEndWhileAnEmitWaits(t *testing.T) {
	for name, end := range map[string]func(*bench, *Publisher){
		"bus":       func(b *bench, _ *Publisher) { natstest.Stop(b.server) },
		"publisher": func(_ *bench, p *Publisher) { p.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			p := newPublisher(t, b.server.ClientURL())
			b.gw.Holds("42", -1)
			outcome := make(chan error, 1)
			go func() {
				_, err := emit(p, []string{"42"}, "e", "1")
				outcome <- err
			}()
			<-b.gw.Heard
			end(b, p)
			if err := <-outcome; !unavailable(err) {
				t.Errorf("%v", err)
			}
		})
	}
}

// If NATS is lost after a gateway's zero, nothing is known of other gateways.
func TestNATSIsLostAfterAZero(t *testing.T) {
	b := newBench(t)
	p := newPublisher(t, b.server.ClientURL())
	p.Bound = natstest.Patience
	gone := make(chan struct{}, 1000)
	b.gw.On("user.42", func(m *nats.Msg) {
		_ = m.Respond([]byte("0 gw"))
		_ = b.gw.Flush()
		gone <- struct{}{}
	})
	go func() { <-gone; natstest.Stop(b.server) }()
	if reached, err := emit(p, []string{"42"}, "e", "1"); reached || !unavailable(err) {
		t.Errorf("%v, %v", reached, err)
	}
}
