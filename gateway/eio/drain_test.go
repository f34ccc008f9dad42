package eio

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// A drain ends sessions evenly spread over its time. Each is told, and gets all that was queued for it.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := startPiped(t)
		const sockets, over = 40, 5 * time.Second
		var ends [sockets]chan time.Duration
		began := time.Now()
		for i := range sockets {
			w := a.socket(3 + i%2)
			w.session.write(Message([]byte("queued")))
			ends[i] = make(chan time.Duration, 1)
			go func() {
				w.want("4queued")
				w.wantCode(1001)
				ends[i] <- time.Since(began)
			}()
		}
		synctest.Wait()
		drained := later(func() bool { a.Drain(t.Context(), over); return true })
		var tenths [10]int
		for _, end := range ends {
			tenths[min(9, (<-end)*10/over)]++
		}
		<-drained
		if took := time.Since(began); took > over+drainGrace {
			t.Errorf("took %v", took)
		}
		for i, n := range tenths {
			if n < sockets/10-1 || n > sockets/10+1 {
				t.Errorf("%d of %d ended in tenth %d: %v", n, sockets, i, tenths)
			}
		}
	})
}

// A server that drains serves its sessions and refuses new ones. A browser that
// reads nothing does not delay it.
func TestDrainRefusesAndServes(t *testing.T) {
	a := start(t, func(c *config) { c.QueueBytes = 1 << 30 })
	stuck, p := a.socket(4), a.poll(4)
	stuck.jam()
	ctx, enough := context.WithCancel(t.Context())
	drained := later(func() bool { a.Drain(ctx, time.Hour); return true })
	until(t, "the drain to begin", func() bool {
		a.sessions.mu.Lock()
		defer a.sessions.mu.Unlock()
		return a.sessions.closed
	})
	if got := a.newPoller("EIO=4&transport=polling").get(); got.status == http.StatusOK {
		t.Errorf("a new session: %v", got)
	}
	p.wantPost("4served")
	p.wantGet("4served")
	enough()
	await(t, "Drain", drained)
	await(t, "Drain", later(func() bool { a.Drain(t.Context(), time.Millisecond); return true }))
	p.wantGone()
	a.wantClose(ReasonServer)
}

// A browser between two polls is told at its next one.
func TestDrainBetweenPolls(t *testing.T) {
	a := start(t)
	p := a.poll(4)
	p.session.Send(Message([]byte("queued")))
	drained := later(func() bool { a.Drain(t.Context(), time.Millisecond); return true })
	until(t, "the session to finish", func() bool {
		p.session.mu.Lock()
		defer p.session.mu.Unlock()
		return p.session.state == finishing
	})
	p.wantGet("4queued\x1e1")
	await(t, "Drain", drained)
	a.wantClose(ReasonServer)
}
