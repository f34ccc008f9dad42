package eio

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
)

// few allows ten packets at once and then one a second. Even a slow machine
// exceeds it.
func few(c *config) { c.MaxFrames = 1 }

// A browser that sends too many frames of any kind is closed; no other is.
func TestTooManyFrames(t *testing.T) {
	const many = 200
	for name, frames := range map[string]struct {
		eio   int
		frame []byte
	}{
		"messages":          {4, text("4x")},
		"binary messages":   {4, masked(ws.OpBinary, true, []byte("x"))},
		"pongs":             {4, text("3")},
		"pings":             {3, text("2")},
		"noops":             {4, text("6")},
		"websocket pings":   {4, masked(ws.OpPing, true, nil)},
		"websocket pongs":   {4, masked(ws.OpPong, true, nil)},
		"empty fragments":   {4, masked(ws.OpContinuation, false, nil)},
		"messages of EIO 2": {2, text("4x")},
	} {
		t.Run(name, func(t *testing.T) {
			a := start(t, few)
			neighbour := a.socket(4)
			w := a.socket(frames.eio)
			if name == "empty fragments" {
				w.raw(masked(ws.OpText, false, []byte("4")))
			}
			go func() {
				for range many {
					if _, err := w.conn.Write(frames.frame); err != nil {
						return
					}
				}
			}()
			a.wantClose(ReasonFrames)
			var code ws.StatusCode
			var reason string
			for code == 0 { // what was answered before the limit comes first
				op, payload, err := w.next()
				if err != nil {
					// The close found a write under way, which no close frame can interrupt.
					break
				}
				if op == ws.OpClose {
					code, reason = ws.ParseCloseFrameData(payload)
				}
			}
			if code != 0 && (code != ws.StatusPolicyViolation || reason != string(ReasonFrames)) {
				t.Errorf("closed with %d %q", code, reason)
			}
			neighbour.send("4fence")
			neighbour.want("4fence")
			if n := a.Sessions(); n != 1 {
				t.Errorf("%d sessions are open, want the neighbour's", n)
			}
		})
	}
}

// Packets count, not requests: a POST may hold very many.
func TestTooManyPackets(t *testing.T) {
	for _, c := range []struct {
		eio   int
		query string
		kind  string
		body  string
	}{
		{4, "", "text/plain", strings.Repeat("4x\x1e", 200) + "4x"},
		{4, "", "text/plain", strings.Repeat("4\x1e", 1<<19-1) + "4"}, // all that a body can hold
		{3, "b64=1", "text/plain", strings.Repeat("1:2", 200)},
		{3, "", "application/octet-stream", strings.Repeat("\x00\x02\xff4x", 200)},
		{2, "b64=1", "text/plain", strings.Repeat("2:4x", 200)},
	} {
		a := start(t, few)
		heard := 0
		a.onMessage = func(s *Session, data []byte, _ bool) {
			if string(data) == "fence" {
				s.write(Message(data))
			} else {
				heard++
			}
		}
		neighbour := a.socket(4)
		p := a.poll(c.eio, c.query)
		waiting := p.wait()
		if got := p.request(http.MethodPost, c.body, "Content-Type", c.kind); got.status != http.StatusBadRequest {
			t.Errorf("the POST: %v", got)
		}
		a.wantClose(ReasonFrames)
		if got := await(t, "the GET", waiting); got.status != http.StatusOK {
			t.Errorf("the GET: %v", got)
		}
		p.wantGone()
		if heard > 100 { // ten, and one for each second that it took
			t.Errorf("%d messages were heard", heard)
		}
		neighbour.send("4fence")
		neighbour.want("4fence")
	}
	a := start(t, few)
	p := a.poll(4)
	for range 200 { // one by one
		if p.post("4x").status != http.StatusOK {
			break
		}
	}
	a.wantClose(ReasonFrames)
}

// Each upgrade request counts. It opens no new session, so the limit on handshakes does not apply to it.
func TestTooManyUpgrades(t *testing.T) {
	a := start(t, few)
	p := a.poll(4)
	for range 200 {
		w, _ := a.connect(strings.ReplaceAll(p.query, "transport=polling", ""), nil)
		if w == nil && a.Sessions() == 0 {
			break
		}
		if w != nil {
			_ = w.conn.Close()
		}
	}
	a.wantClose(ReasonFrames)
	p.wantGone()
}

// A websocket that asks to take over may send in fragments, and pongs.
func TestUpgradeInFragments(t *testing.T) {
	a := start(t)
	w := a.poll(4).upgrade()
	w.raw(masked(ws.OpPong, true, nil))
	w.raw(masked(ws.OpText, false, []byte("2pro")))
	w.raw(masked(ws.OpContinuation, true, []byte("be")))
	w.want("3probe")
	w.send("5")
	w.send("4x")
	w.want("4x")
}

// A websocket that asks to take over may not send pongs without end: --max-frames does not count them yet.
func TestUpgradeWithPongs(t *testing.T) {
	a := start(t)
	p := a.poll(4)
	w := p.upgrade()
	for range maxQuiet + 1 {
		w.raw(masked(ws.OpPong, true, nil))
	}
	w.wantEnd()
	p.wantPost("4x")
	p.wantGet("4x")
}

// The default allows a burst larger than that of any page, and the rate of a
// busy page for ever. An upgrade does not reset the count.
func TestMaxFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := startPiped(t, func(c *config) { c.MaxFrames = DefaultConfig().MaxFrames })
		heard := 0
		a.onMessage = func(*Session, []byte, bool) { heard++ }
		clock := a.socket(4)
		clock.drain()
		p := a.poll(4)
		p.wantPost(strings.Repeat("4x\x1e", 499) + "4x")
		w := p.probed()
		w.send("5")
		w.drain()
		until := func(n int) {
			t.Helper()
			synctest.Wait()
			if heard != n {
				t.Fatalf("%d messages were heard, want %d", heard, n)
			}
		}
		w.raw([]byte(strings.Repeat(string(text("4x")), 499)))
		until(999) // and the handshake of the websocket
		for range 200 {
			time.Sleep(100 * time.Millisecond)
			w.raw([]byte(strings.Repeat(string(text("4x")), 10)))
		}
		until(2999)
		w.raw([]byte(strings.Repeat(string(text("4x")), 2)))
		until(2999)
		if reason := <-a.closed; reason != ReasonFrames {
			t.Error(reason)
		}
	})
}
