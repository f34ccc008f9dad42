package relay

import (
	"sync"
	"time"
)

// silence is after how long without a message a peer is taken for dead.
const silence = 5 * time.Second

// peers are the nodes with which this node has streams.
type peers struct {
	mu sync.Mutex // no other lock is taken under it
	// Guarded by mu.
	known map[string]*peer // by name
}

type peer struct {
	streams int       // in both directions
	heard   time.Time // when its last message came
}

func newPeers() *peers { return &peers{known: make(map[string]*peer)} }

// add counts a stream to the peer, which is known from its first stream on.
func (p *peers) add(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known[name] == nil {
		p.known[name] = &peer{heard: time.Now()}
	}
	p.known[name].streams++
}

// remove undoes one add.
func (p *peers) remove(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.known[name]
	if known.streams--; known.streams == 0 {
		delete(p.known, name)
	}
}

// heard notes that a message of the node came. Nodes without streams are ignored.
func (p *peers) heard(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.known[name]; known != nil {
		known.heard = time.Now()
	}
}

// divide returns the names of the peers that were heard within silence, and of the others.
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
