package natsd

import (
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/siotest"
)

const secret = "a secret of enough characters"

// box starts a server in a cluster. It returns the server and the address for the routes of the
// others.
func box(t *testing.T, label, secret string, routes ...string) (*Server, string) {
	t.Helper()
	s, err := Start(label, 1<<20, ClusterConfig{ClusterListen: "127.0.0.1:0", ClusterRoutes: routes, ClusterSecret: secret}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s, s.server.ClusterAddr().String()
}

func wantPeers(t *testing.T, s *Server, want ...string) {
	t.Helper()
	natstest.Await(t, fmt.Sprintf("%s to be joined with %v", s.server.Name(), want), func() bool {
		var labels []string
		for _, p := range s.peers() {
			labels = append(labels, labelOf(p.name))
		}
		return slices.Equal(labels, want)
	})
}

// Boxes with a route to one box find all boxes. A message published on one is received on another,
// also after one of them has stopped.
func TestCluster(t *testing.T) {
	a, address := box(t, "a", secret)
	b, _ := box(t, "b", secret, address)
	c, _ := box(t, "c", secret, address)
	wantPeers(t, a, "b", "c")
	wantPeers(t, b, "a", "c")
	wantPeers(t, c, "a", "b")
	// A joined box gets messages at once: it needs no second connection for that.
	natstest.Await(t, "one connection to each box", func() bool { return a.server.NumRoutes() == 2 })

	ask := func() {
		t.Helper()
		here, there := connect(t, b), connect(t, c)
		sub, err := here.Subscribe("hello", func(m *nats.Msg) { _ = m.Respond([]byte("hi")) })
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = sub.Unsubscribe() }()
		natstest.Await(t, "an answer from the other box", func() bool {
			m, err := there.Request("hello", nil, natstest.Patience)
			return err == nil && string(m.Data) == "hi"
		})
	}
	ask()
	a.Shutdown()
	wantPeers(t, b, "c")
	ask()
	if b.Alone() {
		t.Error("a box with a peer is alone")
	}
	c.Shutdown()
	natstest.Await(t, "the last box to be alone", b.Alone)
}

// A box without the secret cannot join the cluster, nor connect as a client.
func TestClusterSecret(t *testing.T) {
	a, address := box(t, "a", secret)
	stranger, _ := box(t, "stranger", secret+"x", address)
	plain := natstest.Start(t, natstest.Route(address))
	other, err := identity(secret + "y")
	if err != nil {
		t.Fatal(err)
	}
	other.InsecureSkipVerify = true // an attacker accepts any certificate
	forger := natstest.Start(t, natstest.Route(address), func(o *server.Options) { o.Cluster.TLSConfig, o.Cluster.TLSTimeout = other, 2 })
	if nc, err := nats.Connect("nats://" + a.server.Addr().String()); err == nil {
		nc.Close()
		t.Error("a client without password is let in")
	}
	if _, port, _ := net.SplitHostPort(a.server.Addr().String()); a.server.Addr().String() != "127.0.0.1:"+port {
		t.Errorf("clients are listened for on %v", a.server.Addr())
	}
	fence, _ := box(t, "fence", secret, address)
	wantPeers(t, fence, "a")
	wantPeers(t, a, "fence")
	if n := len(stranger.peers()) + plain.NumRoutes() + forger.NumRoutes(); n != 0 {
		t.Errorf("strangers have %d routes", n)
	}
}

func TestClusterConfig(t *testing.T) {
	for want, c := range map[string]ClusterConfig{
		"":                      {ClusterListen: "0.0.0.0:6222", ClusterRoutes: []string{"10.0.0.2:6222", "box:6222", "[::1]:6222"}, ClusterSecret: secret},
		"need --cluster-listen": {ClusterRoutes: []string{"10.0.0.2:6222"}},
		"--cluster-listen, the": {ClusterSecret: secret},
		"openssl":               {ClusterListen: "127.0.0.1:6222"},
		"has 5 characters":      {ClusterListen: "127.0.0.1:6222", ClusterSecret: "short"},
		`--cluster-routes contains "10.0.0.2": it must be HOST:PORT`: {ClusterListen: "127.0.0.1:6222", ClusterSecret: secret, ClusterRoutes: []string{"10.0.0.2"}},
		`--cluster-listen is "127.0.0.1:x": it must be HOST:PORT`:    {ClusterListen: "127.0.0.1:x", ClusterSecret: secret},
	} {
		err := c.Validate()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
	}
	if err := (ClusterConfig{}).Validate(); err != nil {
		t.Errorf("no cluster: %v", err)
	}
}

// Start fails at once if the port is in use, and the error contains the address.
func TestClusterPortInUse(t *testing.T) {
	_, address := box(t, "a", secret)
	_, err := Start("b", 1<<20, ClusterConfig{ClusterListen: address, ClusterSecret: secret}, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("%v", err)
	}
}

// A correctly configured box logs no warning.
func TestClusterWarnsOfNothing(t *testing.T) {
	var said siotest.Output
	s, err := Start("a", 1<<20, ClusterConfig{ClusterListen: "127.0.0.1:0", ClusterSecret: secret}, slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	connect(t, s)
	s.Shutdown()
	if text := said.String(); text != "" {
		t.Error(text)
	}
}
