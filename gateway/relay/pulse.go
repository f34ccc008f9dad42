package relay

import (
	"time"

	"github.com/nats-io/nats.go"
)

// pulseTime is how often nodes with streams between them say that they are there.
const pulseTime = time.Second

// A pulse tells the peers each second that this node is there. It breaks the
// streams to peers that are silent, and all streams once the connection to NATS
// was lost and is back, because nobody knows which messages were lost with it.
type pulse struct {
	name  string // of this node
	nc    *nats.Conn
	table *table
	peers *peers
}

// run works until stop is closed. It may wait for NATS, and holds no lock meanwhile.
func (p pulse) run(stop <-chan struct{}) {
	tick := time.NewTicker(pulseTime)
	defer tick.Stop()
	reconnects := p.nc.Stats().Reconnects
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
		p.beat()
	}
}

// beat tells the peers that this node is there, and breaks the streams to the silent ones.
func (p pulse) beat() {
	alive, silent := p.peers.divide()
	if len(silent) > 0 {
		p.table.breakAll(errSilent, func(k key) bool { return silent[k.peer] })
	}
	m := message{kind: kindAlive, origin: fromOpener, from: p.name}.append(nil)
	for _, name := range alive {
		_ = p.nc.Publish(subjectOf(name), m) // a lost one does no harm: silence is five of them
	}
}
