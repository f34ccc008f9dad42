package natsd

import (
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/internal/siotest"
)

// gauge returns the value of a gauge of the server.
func gauge(t *testing.T, s *Server, name string) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(s.Metrics()...)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}

// Boxes with the same label join, and Boxes shows them by different names.
func TestOneLabel(t *testing.T) {
	a, address := box(t, "vm", secret)
	b, _ := box(t, "vm", secret, address)
	wantPeers(t, a, "vm")
	wantPeers(t, b, "vm")
	for _, pair := range [][2]*Server{{a, b}, {b, a}} {
		own, other := pair[0].server.Name(), pair[1].server.Name()
		if want := own + ", " + other + " at 127.0.0.1"; pair[0].Boxes() != want {
			t.Errorf("%q, want %q", pair[0].Boxes(), want)
		}
	}
	c, _ := box(t, "db", secret, address)
	wantPeers(t, c, "vm", "vm")
	if want := regexp.MustCompile(`^db, vm#[a-z2-7]{8} at 127\.0\.0\.1, vm#[a-z2-7]{8} at 127\.0\.0\.1$`); !want.MatchString(c.Boxes()) {
		t.Errorf("%q", c.Boxes())
	}
	if n := gauge(t, c, "doit_cluster_peers"); n != 2 {
		t.Errorf("%v peers, want 2", n)
	}
}

func TestDescribe(t *testing.T) {
	x, y := peer{"vm#aaaaaaaa", "10.0.0.2"}, peer{"web#1#bbbbbbbb", "10.0.0.3"}
	for want, boxes := range map[string]struct {
		own   string
		peers []peer
	}{
		"a":            {own: "a#cccccccc"},
		"a, vm, web#1": {"a#cccccccc", []peer{x, y}},
		"vm#cccccccc, vm#aaaaaaaa at 10.0.0.2, web#1": {"vm#cccccccc", []peer{x, y}},
		"a, of-old":                   {"a#cccccccc", []peer{{"of-old", "10.0.0.4"}}},
		"vm#cccccccc, vm at 10.0.0.4": {"vm#cccccccc", []peer{{"vm", "10.0.0.4"}}},
	} {
		if got := describe(boxes.own, boxes.peers); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// All boxes can have the same list of routes: a box's own address in it causes no error and no
// retry, and does not count as a peer.
func TestOwnAddressAmongRoutes(t *testing.T) {
	addresses := []string{siotest.FreeAddress(t), siotest.FreeAddress(t)}
	var said siotest.Output
	log := slog.New(slog.NewTextHandler(&said, nil))
	boxes := make([]*Server, len(addresses))
	for i, own := range addresses {
		_, port, err := net.SplitHostPort(own)
		if err != nil {
			t.Fatal(err)
		}
		routes := append([]string{net.JoinHostPort("localhost", port)}, addresses[:i+1]...) // the second finds the first
		s, err := Start(fmt.Sprint("box-", i), 1<<20, ClusterConfig{ClusterListen: own, ClusterRoutes: routes, ClusterSecret: secret}, log)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Shutdown)
		boxes[i] = s
	}
	wantPeers(t, boxes[0], "box-1")
	wantPeers(t, boxes[1], "box-0")
	if text := said.String(); text != "" {
		t.Errorf("logged %s", text)
	}
}
