package relay

import (
	"context"
	"sync"
	"time"
)

// drainGrace is how long drain waits, at its end, for the last pipes to end.
const drainGrace = 500 * time.Millisecond

// pipes holds the pipes of this node: the websockets whose sessions are on other nodes.
type pipes struct {
	running sync.WaitGroup // two goroutines for each pipe

	mu sync.Mutex // no other lock is taken under it
	// Guarded by mu.
	draining bool // no further pipe may start
	open     map[*stream]struct{}
}

func newPipes() *pipes { return &pipes{open: make(map[*stream]struct{})} }

// start adds a pipe and runs up and down, its two directions. The pipe is removed when down
// returns. start returns false, and runs nothing, after stop.
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

// stop makes start return false from now on. It returns the streams of the open pipes.
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

// len returns how many pipes are open.
func (p *pipes) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open)
}

// drain calls stop and then ends the open pipes one by one, evenly over the given time. A browser
// still gets the bytes that its session's node had sent. drain then waits for the last pipes, at
// most for drainGrace. It returns early when ctx is done.
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
