// Package listen is the TCP listeners of a process, the connections on them, and the HTTP servers that serve these. It
// bounds what a stranger can get by opening connections: their number, in all and by address, the heads of their
// requests, and the time that a request may take. It knows nothing of what is served.
//
// A [Listeners] has the limits of a process and makes its [Server]s. The public ones share their limits, and the
// private one has a share of its own.
//
// A connection comes this way: listener.go accepts it, connections.go counts it or refuses it (refusal.go), head.go
// counts the head of its request, and http.go serves that. Between requests it waits (waiters.go), and may be closed to
// make room for another.
//
// There are two locks, that of the connections that share a limit, and that of each reason for a refusal. Both are
// innermost, and nothing is closed, logged or written while one of them is held.
package listen

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"

	"github.com/prometheus/client_golang/prometheus"
)

// Config holds the flags that limit connections.
type Config struct {
	MaxConnections           int `default:"0" help:"Most TCP connections of the public listeners together. At the limit the one that has waited longest for a request is closed, and a new one is answered 503 if none waits. 0 means 10,000 more than --max-sockets, or as many as the files allow if that is less."`
	MaxConnectionsPerAddress int `default:"2500" help:"Most TCP connections from one address (IPv6: from one /64), at most half of all. Further ones are answered 429. 127.0.0.0/8, ::1 and trusted proxies are exempt. 0 means no limit."`
}

// mostConnections is the highest value of the limits on connections.
const mostConnections = 10_000_000

// Validate returns an error if a limit is out of range.
func (c Config) Validate() error {
	for _, limit := range []struct {
		flag  string
		value int
	}{{"--max-connections", c.MaxConnections}, {"--max-connections-per-address", c.MaxConnectionsPerAddress}} {
		if limit.value < 0 || limit.value > mostConnections {
			return fmt.Errorf("%s is %d: it must be 0 to %d", limit.flag, limit.value, mostConnections)
		}
	}
	return nil
}

// Listeners are the listeners of a process. Only one goroutine may use it, that of
// main; the servers that it makes are independent of it.
type Listeners struct {
	config  Config
	log     *slog.Logger
	metrics *connectionMetrics
	shared  *connections // of the public listeners
}

// New returns the Listeners of a process without sockets; see
// [Listeners.LimitSockets]. Peers on this machine are exempt from the limit per
// address. The metrics are registered at r.
func New(cfg Config, log *slog.Logger, r *prometheus.Registry) *Listeners {
	ls := &Listeners{config: cfg, log: log, metrics: newConnectionMetrics(r)}
	ls.shared = newConnections(publicLimits(cfg, fileLimit(), 0), isLoopback, ls.metrics)
	return ls
}

// isLoopback exempts peers on this machine from the limit per address: a proxy
// there carries everybody's connections.
func isLoopback(peer netip.Addr) bool { return peer.IsLoopback() }

// LimitSockets tells how many sockets the program admits (--max-sockets, 0 means
// no limit), which the default of --max-connections follows, and which peers are
// exempt from --max-connections-per-address. It logs a warning if that many
// sockets cannot be connected. It must be called before Listen.
func (ls *Listeners) LimitSockets(most int, exempt func(netip.Addr) bool) {
	sockets := most
	if sockets == 0 {
		sockets = noLimit
	}
	files := fileLimit()
	l := publicLimits(ls.config, files, sockets)
	ls.shared = newConnections(l, exempt, ls.metrics)
	if l.all > 0 && most > l.all {
		ls.log.Warn("--max-sockets cannot be reached, because each websocket needs a connection. Raise the number of files that "+
			"the process may have open (ulimit -n, LimitNOFILE), and --max-connections if it is set, or lower --max-sockets",
			"max_sockets", most, "connections", l.all, "files", files, "files_needed", most+keptFiles(most))
	}
}

// Listen listens on a TCP address, HOST:PORT, and counts the connections there.
// name is [Public], [Emits] or [Private], each at most once. It serves nothing yet,
// so an error is known before anything starts; the error is that of [Explain].
// Shutdown must follow.
func (ls *Listeners) Listen(name, address string) (*Server, error) {
	cs := ls.shared
	if name == Private {
		cs = newConnections(privateLimits(fileLimit()), nil, ls.metrics)
	}
	return ls.listen(name, address, cs)
}

func (ls *Listeners) listen(name, address string, cs *connections) (*Server, error) {
	var config net.ListenConfig
	if name != Private {
		config.Control = boundSendBuffer
	}
	tcp, err := config.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, Explain(flagOf[name], err)
	}
	l := &listener{
		TCPListener: tcp.(*net.TCPListener), name: name, emits: name == Emits, private: name == Private,
		connections: cs, log: ls.log,
	}
	if l.emits {
		cs.reserve()
	}
	ls.metrics.add(l)
	return &Server{listener: l}, nil
}
