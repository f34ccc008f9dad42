package relay

import (
	"sync"
	"time"
)

// silence is how long a peer may send nothing before it is considered dead.
const silence = 5 * time.Second

// peers are the nodes with which this node has streams.
type peers struct {
	mu sync.Mutex // no other lock is taken under it
	// Guarded by mu.
	known map[string]*peer // by name
}

type peer struct {
	streams int       // in both directions
	heard   time.Time // when its last message arrived
}

func newPeers() *peers { return &peers{known: make(map[string]*peer)} }

// add counts a stream with the peer. The first one makes the peer known.
func (p *peers) add(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known[name] == nil {
		p.known[name] = &peer{heard: time.Now()}
	}
	p.known[name].streams++
}

// remove undoes one add. The last one removes the peer.
func (p *peers) remove(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.known[name]
	if known.streams--; known.streams == 0 {
		delete(p.known, name)
	}
}

// heard records that a message of the node has arrived. It ignores nodes without streams.
func (p *peers) heard(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.known[name]; known != nil {
		known.heard = time.Now()
	}
}

// excuse gives all peers the whole of silence again to send a message.
func (p *peers) excuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, known := range p.known {
		known.heard = time.Now()
	}
}

// divide returns the names of the peers that have sent a message within silence, and of those that
// have not.
func (p *peers) divide() (alive []string, silent map[string]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	silent = make(map[string]bool)
	for name, known := range p.known {
		if time.Since(known.heard) > silence {
			silent[name] = true
		} else {
			alive = append(alive, name)
		}
	}
	return alive, silent
}
