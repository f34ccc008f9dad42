// Package natstest runs real nats-servers in the test process. Only tests import it.
package natstest

import (
	"net"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Patience is how long a test waits for an expected event before it fails. On a machine where processes stand still for
// seconds, a node judges a silent peer after 6 s at the earliest, and after 5 s more for each standstill.
const Patience = 30 * time.Second

// An Option changes a server before it starts.
type Option func(*server.Options)

// MaxPayload sets the largest message that the server accepts.
func MaxPayload(bytes int32) Option {
	return func(o *server.Options) { o.MaxPayload = bytes }
}

// Port makes the server listen on this port instead of a free one.
func Port(port int) Option {
	return func(o *server.Options) { o.Port = port }
}

// Route makes the server join the cluster of the server at this address.
func Route(address string) Option {
	return func(o *server.Options) {
		o.Cluster = server.ClusterOpts{Name: "doit-socket", Host: "127.0.0.1", Port: server.RANDOM_PORT}
		o.Routes = []*url.URL{{Scheme: "nats", Host: address}}
	}
}

// Start starts a server on a free port of 127.0.0.1 and stops it at the end of the test.
func Start(t testing.TB, opts ...Option) *server.Server {
	t.Helper()
	o := &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true}
	for _, opt := range opts {
		opt(o)
	}
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatalf("configure nats-server: %v", err)
	}
	s.Start()
	t.Cleanup(func() { Stop(s) })
	if !s.ReadyForConnections(Patience) {
		t.Fatal("nats-server did not start")
	}
	return s
}

// Stop stops a server before the end of the test. It may be called more than once.
func Stop(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// Restart starts a server on the port of one that was stopped.
func Restart(t testing.TB, stopped *server.Server, opts ...Option) *server.Server {
	t.Helper()
	port, err := strconv.Atoi(portOf(t, stopped.ClientURL()))
	if err != nil {
		t.Fatal(err)
	}
	return Start(t, append(opts, Port(port))...)
}

func portOf(t testing.TB, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Port()
}

// Connect returns a connection to s that is closed at the end of the test. It never moves to
// another server of a cluster.
func Connect(t testing.TB, s *server.Server, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(s.ClientURL(), append([]nats.Option{nats.IgnoreDiscoveredServers()}, opts...)...)
	if err != nil {
		t.Fatalf("connect to nats-server: %v", err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// Cluster starts n servers and waits until each has its routes to all others.
func Cluster(t testing.TB, n int) []*server.Server {
	t.Helper()
	var routes []*url.URL
	servers := make([]*server.Server, n)
	for i := range servers {
		servers[i] = Start(t, func(o *server.Options) {
			o.ServerName = "node-" + strconv.Itoa(i)
			o.Cluster = server.ClusterOpts{Name: "doit-socket", Host: "127.0.0.1", Port: server.RANDOM_PORT}
			o.Routes = routes
		})
		if i == 0 {
			// One route is enough: the first server announces the others.
			port := strconv.Itoa(servers[0].ClusterAddr().Port)
			routes = []*url.URL{{Scheme: "nats", Host: net.JoinHostPort("127.0.0.1", port)}}
		}
	}
	// Each server has a pool of routes to each other one, and one route for the system account.
	want := (n - 1) * (server.DEFAULT_ROUTE_POOL_SIZE + 1)
	for _, s := range servers {
		Await(t, "full mesh of "+s.Name(), func() bool { return s.NumRoutes() == want })
	}
	return servers
}

// Await waits until condition returns true. It fails the test after Patience; what says what did
// not happen.
func Await(t testing.TB, what string, condition func() bool) {
	t.Helper()
	late := time.NewTimer(Patience)
	defer late.Stop()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for !condition() {
		select {
		case <-poll.C:
		case <-late.C:
			t.Fatalf("not in time: %s", what)
		}
	}
}
