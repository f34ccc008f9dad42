package relay

import (
	"time"

	"github.com/nats-io/nats.go"
)

// pulseTime is the interval of the messages by which a node tells its peers that it is alive.
const pulseTime = time.Second

// A pulse tells the peers, every pulseTime, that this node is alive. It breaks the streams to peers
// that are silent. After each reconnect to NATS it breaks all streams, because any of their
// messages may have been lost.
type pulse struct {
	name  string // of this node
	nc    *nats.Conn
	table *table
	peers *peers
}

// run runs the pulse until stop is closed. It may wait for NATS, and holds no lock while it waits.
func (p pulse) run(stop <-chan struct{}) {
	tick := time.NewTicker(pulseTime)
	defer tick.Stop()
	reconnects := p.nc.Stats().Reconnects
	last := time.Now() // of the last beat
	for {
		select {
		case <-tick.C:
		case <-stop:
			return
		}
		if now := p.nc.Stats().Reconnects; now != reconnects {
			reconnects = now
			p.table.breakAll(errBus, func(key) bool { return true })
		}
		p.beat(stoodStill(time.Since(last)))
		last = time.Now()
	}
}

// stoodStill reports whether so long a time between two beats tells that this node stood still, or
// waited for NATS.
func stoodStill(between time.Duration) bool { return between > 2*pulseTime }

// beat breaks the streams to silent peers and tells the others that this node is alive. late says
// that this node has stood still, or has waited for NATS: messages that have arrived meanwhile are
// still to be read, so no peer is considered silent yet.
func (p pulse) beat(late bool) {
	if late {
		p.peers.excuse()
	}
	alive, silent := p.peers.divide()
	if len(silent) > 0 {
		p.table.breakAll(errSilent, func(k key) bool { return silent[k.peer] })
	}
	m := message{kind: kindAlive, origin: fromOpener, from: p.name}.append(nil)
	for _, name := range alive {
		_ = p.nc.Publish(subjectOf(name), m) // losing one is harmless: a peer is silent only after five
	}
}
