package publish

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// recoveryTime is how long after the loss of a NATS server "nobody is there" is no answer. A gateway that has lost the
// server too tries again within half a second (internal/daemon), and half a second more brings back the subscriptions
// of 100,000 users.
const recoveryTime = time.Second

// stability knows whether gateways may be missing from NATS for a moment: after the ingest's own connection was lost,
// and after NATS has told that another server has left the cluster.
type stability struct {
	nc      *nats.Conn
	changes chan nats.Status // of the connection; nil before start
	lost    atomic.Bool      // the connection is down, or has been up for less than recoveryTime

	mu sync.Mutex
	// Guarded by mu.
	servers  []string  // the servers of the cluster that NATS last told of
	departed time.Time // when one of them was found to have left
}

func newStability(nc *nats.Conn) *stability {
	s := &stability{nc: nc}
	s.lost.Store(true)
	return s
}

// start looks at the connection for the first time.
func (s *stability) start() {
	s.changes = s.nc.StatusChanged(nats.RECONNECTING, nats.CONNECTED)
	s.lost.Store(!s.nc.IsConnected())
	s.stable()
}

// run follows the connection until the end.
func (s *stability) run(end <-chan struct{}) {
	look := time.NewTicker(recoveryTime) // so that a server's leaving is not first noticed by an emit long after it
	defer look.Stop()
	var back <-chan time.Time
	for {
		select {
		case status := <-s.changes:
			if status == nats.CONNECTED {
				back = time.After(recoveryTime)
			} else {
				back = nil
				s.lost.Store(true)
			}
		case <-back:
			s.lost.Store(false)
		case <-look.C:
			s.stable()
		case <-end:
			return
		}
	}
}

// close undoes start. It is called after run has returned, or instead of run.
func (s *stability) close() {
	if s.changes != nil {
		s.nc.RemoveStatusListener(s.changes)
		s.changes = nil
	}
}

// stable reports whether no server was lost within recoveryTime. It asks the connection for its servers only while the
// connection is known to be up, since nats.go holds its lock while it connects. In the instant of a loss it may wait for
// the first attempt to connect, without a lock of its own held.
func (s *stability) stable() bool {
	if s.lost.Load() {
		return false
	}
	servers := s.nc.DiscoveredServers()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, server := range s.servers {
		if !slices.Contains(servers, server) {
			s.departed = time.Now()
		}
	}
	s.servers = servers
	return time.Since(s.departed) >= recoveryTime
}
