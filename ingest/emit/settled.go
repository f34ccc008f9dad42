package emit

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// settleTime is how long "nobody is there" is no answer after a server of the
// bus was lost. A gateway that has lost it too tries again within half a second
// (internal/daemon), and half a second more brings 100,000 users back.
const settleTime = time.Second

// A settler knows whether the bus is as it was for a while, or gateways may be
// on their way back to it: after the ingest's own connection was lost, and
// after NATS has said that another server has left the cluster.
type settler struct {
	nc   *nats.Conn
	news <-chan nats.Status // of the connection
	lost atomic.Bool        // it is not there, or has not been back for long

	mu sync.Mutex
	// Guarded by mu.
	servers []string  // those that NATS told of
	left    time.Time // when one of them left
}

func newSettler(nc *nats.Conn) *settler {
	s := &settler{nc: nc, news: nc.StatusChanged(nats.RECONNECTING, nats.CONNECTED)}
	s.lost.Store(!nc.IsConnected())
	s.settled() // looks at the servers for the first time
	return s
}

// run watches the bus until the end.
func (s *settler) run(end <-chan struct{}) {
	look := time.NewTicker(settleTime) // so that what left is not noticed first by an emit long after
	defer look.Stop()
	var back <-chan time.Time
	for {
		select {
		case status := <-s.news:
			if status == nats.CONNECTED {
				back = time.After(settleTime)
			} else {
				back = nil
				s.lost.Store(true)
			}
		case <-back:
			s.lost.Store(false)
		case <-look.C:
			s.settled()
		case <-end:
			return
		}
	}
}

// settled reports whether nothing was lost for a while. It asks the connection
// only while that is there: nats.go has one lock, and holds it while it connects.
func (s *settler) settled() bool {
	if s.lost.Load() {
		return false
	}
	servers := s.nc.DiscoveredServers()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, server := range s.servers {
		if !slices.Contains(servers, server) {
			s.left = time.Now()
		}
	}
	s.servers = servers
	return time.Since(s.left) >= settleTime
}
