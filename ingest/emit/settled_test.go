package emit

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ramainen/doit-socket/internal/natstest"
)

// The bus was away, and the ingest is back before a gateway may be: that
// nobody is there is not known, for either receiver and for /stat/all, until
// the gateway has had its time. Who is back is reached at once.
func TestNobodyIsKnownWhenTheBusIsBack(t *testing.T) {
	first := natstest.Start(t)
	in := newIngest(t, first.ClientURL())
	emit := func(ids ...string) (bool, error) { return in.emit(ids, "e", []byte("1")) }
	if reached, err := emit("42"); reached || err != nil {
		t.Fatalf("before anything has happened: %v, %v", reached, err)
	}
	natstest.Stop(first)
	natstest.Await(t, "disconnect", func() bool { return !in.nc.IsConnected() })
	began := time.Now() // the connection is back later than this
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
	natstest.Await(t, "connection", in.nc.IsConnected)
	if reached, err := emit("42", "back"); !reached || err != nil {
		t.Errorf("who is back: %v, %v", reached, err)
	}
	unknown := 0
	natstest.Await(t, "that nobody is there", func() bool {
		reached, err := emit("42", "43")
		if errors.Is(err, errUnsettled) && status(err) == http.StatusServiceUnavailable {
			unknown++
		} else if reached || err != nil {
			t.Fatalf("%v, %v", reached, err)
		}
		return err == nil
	})
	if after := time.Since(began); after < settleTime || unknown == 0 {
		t.Errorf("ERROR comes %v after the bus, %d times it was unknown", after, unknown)
	}
	if total, err := in.stat(); total != 0 || err != nil {
		t.Errorf("stat: %d, %v", total, err)
	}
	if reached, err := emit("left"); reached || err != nil {
		t.Errorf("who left: %v, %v", reached, err)
	}

	// Again, for what else is heard.
	natstest.Stop(s)
	natstest.Await(t, "disconnect", func() bool { return !in.nc.IsConnected() })
	began = time.Now()
	natstest.Restart(t, s)
	natstest.Await(t, "connection", in.nc.IsConnected)
	natstest.Await(t, "a sum", func() bool { _, err := in.stat(); return err == nil })
	if after := time.Since(began); after < settleTime {
		t.Errorf("a sum comes %v after the bus", after)
	}
}

// Another server of the cluster dies: the gateways that were beside it are on
// their way to others. A server that comes takes nobody away.
func TestNobodyIsKnownWhenAServerHasLeft(t *testing.T) {
	servers := natstest.Cluster(t, 2)
	nc, err := nats.Connect(servers[0].ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	s := newSettler(nc)
	settled := func(what string) {
		t.Helper()
		if !s.settled() {
			t.Errorf("%s: something is missing", what)
		}
	}
	settled("two servers")
	natstest.Start(t, natstest.Route(servers[0].ClusterAddr().String()))
	natstest.Await(t, "the third to be known", func() bool { return len(nc.DiscoveredServers()) == 2 })
	settled("a third")
	natstest.Stop(servers[1])
	natstest.Await(t, "the death to be known", func() bool { return !s.settled() })
	natstest.Await(t, "its gateways to be back", s.settled)
}
