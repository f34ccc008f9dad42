package daemon

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
)

// A natsState is what is known of a NATS connection without asking it. nats.go
// holds its lock while it dials, for up to dialTimeout, and IsConnected, Stats
// and the like wait for that lock: /metrics and /readyz must not. nats.go's
// handlers keep the state. It is safe for concurrent use.
type natsState struct {
	server     atomic.Pointer[natsServer] // nil while not connected
	reconnects atomic.Uint64

	known chan struct{} // closed by the first connected
	once  sync.Once
}

// A natsServer is the server that a connection is to.
type natsServer struct{ name, cluster, url string } // url is empty if the server runs in this process

func newNatsState() *natsState { return &natsState{known: make(chan struct{})} }

// connected is called by nats.go when the connection is there, for the first time or again.
func (s *natsState) connected(nc *nats.Conn) {
	server := &natsServer{nc.ConnectedServerName(), nc.ConnectedClusterName(), nc.ConnectedUrlRedacted()}
	if nc.Opts.InProcessServer != nil {
		server.url = "" // nats.go names its default address, where nobody listens
	}
	s.server.Store(server)
	s.reconnects.Store(nc.Stats().Reconnects)
	s.once.Do(func() { close(s.known) })
}

// String describes the server for the status page.
func (s *natsState) String() string {
	server := s.server.Load()
	if server == nil {
		return "not connected"
	}
	text := server.name
	if server.url != "" {
		text += " at " + server.url
	} else {
		text += " in this process"
	}
	if server.cluster != "" {
		text += ", cluster " + server.cluster
	}
	return text
}

// A serverInfo collects the metric doit_nats_server_info.
type serverInfo struct {
	state *natsState
	desc  *prometheus.Desc
}

func (i serverInfo) Describe(ch chan<- *prometheus.Desc) { ch <- i.desc }

func (i serverInfo) Collect(ch chan<- prometheus.Metric) {
	if server := i.state.server.Load(); server != nil {
		ch <- prometheus.MustNewConstMetric(i.desc, prometheus.GaugeValue, 1, server.name, server.cluster)
	}
}

// Connected returns a readiness check of a connection that [Process.Connect] has returned.
func (p *Process) Connected(nc *nats.Conn) func() error {
	state := p.states[nc]
	return func() error {
		if state.server.Load() == nil {
			return errors.New("not connected")
		}
		return nil
	}
}
