package eio

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ramainen/doit-socket/internal/clock"
)

// quick are the timings of the published protocol suite.
func quick(c *config) { c.PingInterval, c.PingTimeout = 300*time.Millisecond, 200*time.Millisecond }

func TestHeartbeatOnPolling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := startPiped(t, quick)
		p := a.poll(4)
		for range 3 {
			p.wantGet("2")
			p.wantPost("3")
		}
		p.wantGet("2")
		p.wantGet("1") // no pong came
		a.wantClose(ReasonTimeout)
		p.wantGone()
	})
}

func TestHeartbeatOnWebsocket(t *testing.T) {
	t.Parallel()
	a := start(t, quick)
	w := a.socket(4)
	for range 3 {
		w.want("2")
		w.send("3")
	}
	w.want("2")
	w.wantCode(1008)
	a.wantClose(ReasonTimeout)
}

// A browser that never asks for its pings is closed as well (trap M3).
func TestHeartbeatWithoutGET(t *testing.T) {
	t.Parallel()
	a := start(t, quick)
	p := a.poll(4)
	a.wantClose(ReasonTimeout)
	p.wantGone()
}

// A session answers heartbeats also if its last write is older than WriteTimeout
// and had to wait for the network.
func TestHeartbeatAfterBlockingWrite(t *testing.T) {
	t.Parallel()
	a := start(t, quick, func(c *config) { c.WriteTimeout = 100 * time.Millisecond })
	p := a.poll(4)
	w := p.probed() // the answer is a write that may block
	w.send("5")
	for range 3 {
		w.want("2")
		w.send("3")
	}
}

// A poll is judged by the time, also if the timer has not run yet. A late timer
// shortens the browser's time to answer.
func TestHeartbeatByALateTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := startPiped(t, quick)
		p := a.poll(4)
		late := func(by time.Duration) {
			p.session.mu.Lock()
			defer p.session.mu.Unlock()
			p.session.heartbeat.stop()
			p.session.heartbeat.due = clock.Now() - int64(by)
		}
		late(15 * time.Millisecond)
		p.wantGet("2")
		p.session.mu.Lock()
		if left := time.Duration(p.session.heartbeat.limit - clock.Now()); left != 185*time.Millisecond {
			t.Errorf("%v are left for the answer", left)
		}
		p.session.heartbeat.last = true
		p.session.mu.Unlock()
		late(0)
		p.wantGone()
		a.wantClose(ReasonTimeout)

		p = a.poll(4)
		late(time.Hour) // the machine stood still
		p.wantGet("2")
		p.wantPost("3")
		p.wantGet("2")
	})
}

// After a standstill a session is not closed before what has arrived is read, at whichever of its timers the process
// stood still. One that stays silent is closed.
func TestStandstill(t *testing.T) {
	for name, expected := range map[string]struct {
		eio         int
		limit, last time.Duration // of the judgement, and of the second wait
	}{
		"EIO 3": {3, 85 * time.Second, 5 * time.Second},
		"EIO 4": {4, 20 * time.Second, 5 * time.Second},
	} {
		for _, second := range []bool{false, true} { // the wait in which the process stands still
			t.Run(fmt.Sprintf("%s, second wait %v", name, second), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a := startPiped(t)
					alive, silent := a.poll(expected.eio), a.poll(expected.eio)
					sign := "1:2"
					if expected.eio == 4 {
						sign = "3"
						for _, p := range []*pollClient{alive, silent} {
							wantAnswer(t, "GET", p.get(), http.StatusOK, "2")
						}
					}
					synctest.Wait() // the answers have been written
					wait := expected.limit - expected.last
					if second {
						time.Sleep(wait)
						synctest.Wait()
						wait = expected.last
					}
					for _, p := range []*pollClient{alive, silent} {
						p.session.standStill(wait)
					}
					synctest.Wait()
					began := time.Now()
					if got := alive.post(sign); got.status != http.StatusOK {
						t.Errorf("a sign of life that waited to be read: %v", got)
					}
					if reason := <-a.closed; reason != ReasonTimeout || silent.session.state != closed {
						t.Errorf("closed: %v, %s", silent.session.state, reason)
					}
					if got := time.Since(began).Round(time.Second / 10); got != expected.last {
						t.Errorf("closed after %v, want %v", got, expected.last)
					}
				})
			})
		}
	}
}

// standStill lets the session's timer run a minute late; until then it has to wait for left.
func (s *Session) standStill(left time.Duration) {
	s.mu.Lock()
	h := &s.heartbeat
	h.stop()
	h.due -= int64(left + time.Minute)
	h.limit -= int64(left + time.Minute)
	s.mu.Unlock()
	s.beat()
}

// With the default timings, in a bubble's time.
func TestHeartbeatTimings(t *testing.T) {
	const interval, timeout = 25 * time.Second, 20 * time.Second
	wantAt := func(t *testing.T, began time.Time, want time.Duration) {
		t.Helper()
		if got := time.Since(began).Round(time.Second / 10); got != want {
			t.Errorf("after %v, want %v", got, want)
		}
	}
	t.Run("EIO 4", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a := startPiped(t)
			w, began := a.socket(4), time.Now()
			w.wantLate("2")
			wantAt(t, began, interval)
			w.send("4a message is no pong")
			w.want("4a message is no pong")
			w.drain()
			if reason := <-a.closed; reason != ReasonTimeout {
				t.Error(reason)
			}
			wantAt(t, began, interval+timeout)
		})
	})
	t.Run("EIO 4, pongs unasked", func(t *testing.T) { // trap K3
		synctest.Test(t, func(t *testing.T) {
			a := startPiped(t)
			w, began := a.socket(4), time.Now()
			w.send("3")
			clock := startPiped(t, func(c *config) { c.PingInterval = 7 * time.Second }).socket(4)
			clock.wantLate("2")
			w.send("3")
			w.wantLate("2")
			wantAt(t, began, interval)
			w.send("3")
			w.send("3")
			w.wantLate("2")
			wantAt(t, began, 2*interval)
			w.drain()
			<-a.closed
			wantAt(t, began, 2*interval+timeout)
		})
	})
	for _, eio := range []int{2, 3} {
		t.Run("EIO 2 and 3", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := startPiped(t)
				w, began := a.socket(eio), time.Now()
				clock := a.socket(4)
				clock.wantLate("2")
				w.send("2")
				w.want("3")
				w.send("2probe")
				w.want("3probe")
				wantAt(t, began, interval)
				w.drain()
				clock.drain()
				if reason := <-a.closed; reason != ReasonTimeout { // the clock's
					t.Error(reason)
				}
				<-a.closed
				wantAt(t, began, interval+interval+3*timeout)
			})
		})
	}
}

// Pongs do not answer a ping that the browser has not read (trap M2).
func TestBlindPongs(t *testing.T) {
	t.Parallel()
	blindly := func(t *testing.T, a *app, pong func() bool) {
		ended := make(chan struct{})
		pongs := later(func() bool {
			for pong() {
				select {
				case <-ended:
					return true
				default:
				}
			}
			return true
		})
		a.wantClose(ReasonTimeout)
		close(ended)
		await(t, "the pongs to end", pongs)
	}
	t.Run("websocket", func(t *testing.T) {
		t.Parallel()
		a := start(t, quick, func(c *config) { c.QueueBytes = 1 << 30 })
		w := a.socket(4)
		w.jam()
		blindly(t, a, func() bool {
			_, err := w.conn.Write(text("3"))
			return err == nil
		})
	})
	t.Run("polling", func(t *testing.T) {
		t.Parallel()
		a := start(t, quick)
		p := a.poll(4)
		blindly(t, a, func() bool { return p.post("3").status == http.StatusOK })
	})
}
