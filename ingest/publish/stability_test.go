package publish

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ramainen/doit-socket/internal/natstest"
)

// After a loss of NATS the publisher may be back before the gateways. For recoveryTime, "nobody is connected" is then
// not known, neither for an emit nor for Stat. A gateway that is back is reached at once.
func TestNobodyIsKnownWhenNATSIsBack(t *testing.T) {
	first := natstest.Start(t)
	p := newPublisher(t, first.ClientURL())
	reach := func(ids ...string) (bool, error) { return emit(p, ids, "e", "1") }
	if reached, err := reach("42"); reached || err != nil {
		t.Fatalf("before anything has happened: %v, %v", reached, err)
	}
	natstest.Stop(first)
	natstest.Await(t, "disconnect", func() bool { return !p.bus.nc.IsConnected() })
	began := time.Now() // before the reconnect
	s := natstest.Restart(t, first)
	gw := natstest.Connect(t, s)
	for id, answer := range map[string]string{"back": "1 gw", "left": "0 gw"} {
		if _, err := gw.Subscribe("user."+id, func(m *nats.Msg) { _ = m.Respond([]byte(answer)) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := gw.Flush(); err != nil {
		t.Fatal(err)
	}
	natstest.Await(t, "connection", p.bus.nc.IsConnected)
	if reached, err := reach("42", "back"); !reached || err != nil {
		t.Errorf("a user whose gateway is back: %v, %v", reached, err)
	}
	unknown := 0
	natstest.Await(t, "that nobody is there", func() bool {
		reached, err := reach("42", "43")
		if errors.Is(err, ErrUnstable) && unavailable(err) {
			unknown++
		} else if reached || err != nil {
			t.Fatalf("%v, %v", reached, err)
		}
		return err == nil
	})
	if after := time.Since(began); after < recoveryTime || unknown == 0 {
		t.Errorf("ERROR comes %v after NATS, %d times it was unknown", after, unknown)
	}
	if sockets, users, err := p.Stat(t.Context()); sockets != 0 || users != 0 || err != nil {
		t.Errorf("stat: %d, %d, %v", sockets, users, err)
	}
	if reached, err := reach("left"); reached || err != nil {
		t.Errorf("a user who left: %v, %v", reached, err)
	}

	// The same for Stat.
	natstest.Stop(s)
	natstest.Await(t, "disconnect", func() bool { return !p.bus.nc.IsConnected() })
	began = time.Now()
	natstest.Restart(t, s)
	natstest.Await(t, "connection", p.bus.nc.IsConnected)
	natstest.Await(t, "a sum", func() bool { _, _, err := p.Stat(t.Context()); return err == nil })
	if after := time.Since(began); after < recoveryTime {
		t.Errorf("a sum comes %v after NATS", after)
	}
}

// When another server of the cluster dies, stable returns false: its gateways are reconnecting to other servers. When a
// server joins, no gateway reconnects.
func TestNobodyIsKnownWhenAServerHasLeft(t *testing.T) {
	servers := natstest.Cluster(t, 2)
	nc, err := nats.Connect(servers[0].ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	s := newStability(nc)
	s.start()
	t.Cleanup(s.close)
	stable := func(what string) {
		t.Helper()
		if !s.stable() {
			t.Errorf("%s: something is missing", what)
		}
	}
	stable("two servers")
	natstest.Start(t, natstest.Route(servers[0].ClusterAddr().String()))
	natstest.Await(t, "the third to be known", func() bool { return len(nc.DiscoveredServers()) == 2 })
	stable("a third")
	natstest.Stop(servers[1])
	natstest.Await(t, "the death to be known", func() bool { return !s.stable() })
	natstest.Await(t, "its gateways to be back", s.stable)
}
