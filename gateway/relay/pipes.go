package relay

import (
	"context"
	"sync"
	"time"
)

// drainGrace is how long the last websockets have, at the end of a drain, to end.
const drainGrace = 500 * time.Millisecond

// pipes are the websockets at this node whose sessions are on other nodes.
type pipes struct {
	running sync.WaitGroup // two goroutines for each pipe

	mu sync.Mutex // no other lock is taken under it
	// Guarded by mu.
	draining bool // no further pipe begins
	open     map[*stream]struct{}
}

func newPipes() *pipes { return &pipes{open: make(map[*stream]struct{})} }

// start adds a pipe and runs both of its directions; it ends with down. It
// returns false, and runs nothing, in a drain.
func (p *pipes) start(s *stream, up, down func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.draining {
		return false
	}
	p.open[s] = struct{}{}
	p.running.Go(up)
	p.running.Go(func() {
		down()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.open, s)
	})
	return true
}

// stop lets no further pipe begin. It returns the streams of those that run.
func (p *pipes) stop() []*stream {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.draining = true
	streams := make([]*stream, 0, len(p.open))
	for s := range p.open {
		streams = append(streams, s)
	}
	return streams
}

// stopped reports whether stop was called.
func (p *pipes) stopped() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.draining
}

func (p *pipes) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open)
}

// drain ends the pipes evenly over the time given, each when its browser has
// what the session's node had sent. It waits at most drainGrace longer.
func (p *pipes) drain(ctx context.Context, over time.Duration) {
	streams := p.stop()
	for i, s := range streams {
		share := over / time.Duration(len(streams)-i)
		over -= share
		select {
		case <-time.After(share):
		case <-ctx.Done():
			return
		}
		s.CloseWrite()
	}
	for late := time.Now().Add(drainGrace); p.len() > 0 && time.Now().Before(late); {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
}
