package eio

import (
	"context"
	"math/rand/v2"
	"time"
)

// drainGrace is how long the last sessions have, at the end of a drain, to
// take what is queued for them.
const drainGrace = 500 * time.Millisecond

// Drain takes no new sessions and ends the present ones evenly over the time
// given, in no order, each when it has been sent what is queued for it: their
// browsers come back to other nodes one after the other, not in a storm. It
// returns when all are gone, or ctx ends, or those that take nothing are all
// that is left. Close must follow.
func (srv *Server) Drain(ctx context.Context, over time.Duration) {
	sessions := srv.sessions.refuse()
	rand.Shuffle(len(sessions), func(i, j int) { sessions[i], sessions[j] = sessions[j], sessions[i] })
	share := float64(over) / float64(len(sessions))
	began := time.Now()
	for i, s := range sessions {
		at := began.Add(time.Duration((float64(i) + rand.Float64()) * share))
		if !sleep(ctx, time.Until(at)) {
			return
		}
		s.Finish(nil, ReasonServer)
	}
	for late := time.Now().Add(drainGrace); srv.Sessions() > 0 && time.Now().Before(late); {
		if !sleep(ctx, 10*time.Millisecond) {
			return
		}
	}
}

// sleep reports whether the time has passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
