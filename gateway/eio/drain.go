package eio

import (
	"context"
	"math/rand/v2"
	"time"
)

// drainGrace is how long Drain waits, at its end, for sessions that have not
// been sent all that is queued for them.
const drainGrace = 500 * time.Millisecond

// Drain accepts no new sessions and ends the present ones, in random order and
// evenly spread over the given time, so that their browsers do not all
// reconnect at once. Each session ends when it has been sent what is queued
// for it. Drain returns when no session is open, when ctx ends, or drainGrace
// after it has begun to end the last one. Close must follow.
func (srv *Server) Drain(ctx context.Context, over time.Duration) {
	sessions := srv.sessions.stopAccepting()
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

// Close accepts no new sessions, ends the present ones, and waits until their
// goroutines have ended.
func (srv *Server) Close() {
	for _, s := range srv.sessions.stopAccepting() {
		s.Close(ReasonServer)
	}
	srv.running.Wait()
	srv.websockets.Close()
}

// sleep waits for d or until ctx ends. It reports whether ctx has not ended.
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
