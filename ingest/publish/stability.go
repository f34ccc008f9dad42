package publish

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// recoveryTime is how long after the loss of a NATS server the answer "nobody is connected" is not trusted. A gateway
// that lost the same server reconnects within half a second (internal/daemon). Resubscribing 100,000 users takes
// another half.
const recoveryTime = time.Second

// stability tells whether gateways may be missing from NATS because they have yet to reconnect. That is so for
// recoveryTime after the ingest's own connection was lost, and after a server has left the NATS cluster.
type stability struct {
	nc      *nats.Conn
	changes chan nats.Status // status changes of nc; nil before start
	lost    atomic.Bool      // nc is disconnected, or has been connected for less than recoveryTime

	mu sync.Mutex
	// Guarded by mu.
	servers  []string  // the servers of the cluster at the last look
	departed time.Time // when a server was last found to have left
}

func newStability(nc *nats.Conn) *stability {
	s := &stability{nc: nc}
	s.lost.Store(true)
	return s
}

// start subscribes to the status of the connection and takes the first list of servers.
func (s *stability) start() {
	s.changes = s.nc.StatusChanged(nats.RECONNECTING, nats.CONNECTED)
	s.lost.Store(!s.nc.IsConnected())
	s.stable()
}

// run follows the status of the connection until end is closed.
func (s *stability) run(end <-chan struct{}) {
	look := time.NewTicker(recoveryTime) // else an emit could be the first to notice a server that left long ago, and be refused
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

// close ends the subscription to the status. It must not run concurrently with run. It may be called without start.
func (s *stability) close() {
	if s.changes != nil {
		s.nc.RemoveStatusListener(s.changes)
		s.changes = nil
	}
}

// stable reports whether no server was lost within recoveryTime. It does not ask nats.go while the connection is known
// to be down, because nats.go holds its lock while it connects. If the connection is lost at the moment of the call,
// stable may wait for one attempt to connect; it holds no lock during that wait.
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
