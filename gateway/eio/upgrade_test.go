package eio

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
)

func TestUpgrade(t *testing.T) {
	for _, eio := range []int{2, 3, 4} {
		t.Run(fmt.Sprint(eio), func(t *testing.T) {
			a := start(t)
			p := a.poll(eio, "b64=1")
			waiting := p.wait()
			w := p.probed()
			noop := "6"
			if eio < 4 {
				noop = "1:6"
			}
			wantAnswer(t, "the GET that waited", await(t, "it", waiting), http.StatusOK, noop)
			p.wantGet(noop) // soon, not after a heartbeat
			w.send("5")
			w.send("4hello")
			w.want("4hello")
			p.wantGone()
			w.send("4still here")
			w.want("4still here")
			w.send("1")
			w.wantCode(1000)
			a.wantClose(ReasonClient)
		})
	}
}

// Some clients send no probe. The websocket takes over at 5, with what is queued,
// and a GET that waits ends.
func TestUpgradeWithoutProbe(t *testing.T) {
	for _, eio := range []int{2, 3, 4} {
		t.Run(fmt.Sprint(eio), func(t *testing.T) {
			noop := map[int]string{2: "1:6", 3: "1:6", 4: "6"}[eio]
			a := start(t)
			p := a.poll(eio, "b64=1")
			waiting := p.wait()
			w := p.upgrade()
			w.send("5")
			wantAnswer(t, "the GET that waited", await(t, "it", waiting), http.StatusOK, noop)
			w.send("4hello")
			w.want("4hello")
			p.wantGone()

			p = a.poll(eio, "b64=1")
			p.session.write(Message([]byte("queued")))
			w, _ = a.connect(strings.ReplaceAll(p.query, "transport=polling", ""), append(text("5"), text("4early")...))
			w.want("4queued", "4early")
			p.wantGone()
			w.send("1")
			w.wantCode(1000)
			a.wantClose(ReasonClient)
		})
	}
}

// A websocket that has not sent 5 gets nothing of the session, and it takes over
// once.
func TestUpgradeWithoutProbeTwice(t *testing.T) {
	a := start(t)
	p := a.poll(4)
	w := p.upgrade()
	p.session.write(Message([]byte("by polling")))
	p.wantGet("4by polling")
	w.send("5")
	w.send("5") // ignored, as a probe's is
	w.send("4x")
	w.want("4x")
	second, _ := a.connect(strings.ReplaceAll(p.query, "transport=polling", ""), nil)
	second.wantCode(1000)
	w.send("4x")
	w.want("4x")
}

// A GET that waits when the websocket takes over is refused, as in Node's server,
// which handles the websocket's frames before the GET.
func TestUpgradeOvertakenByPoll(t *testing.T) {
	t.Run("before the probe", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a := startPiped(t)
			p := a.poll(4)
			w, waiting := p.upgrade(), p.wait()
			w.raw(append(text("2probe"), text("5")...))
			w.want("3probe")
			wantRefused(t, await(t, "the GET", waiting))
			w.send("4hello")
			w.want("4hello")
		})
	})
	t.Run("behind the probe", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a := startPiped(t)
			p := a.poll(4)
			w := p.probed()
			waiting := p.wait()
			w.send("5")
			wantRefused(t, await(t, "the GET", waiting))
			w.send("4hello")
			w.want("4hello")
		})
	})
}

func wantRefused(t *testing.T, got answer) {
	t.Helper()
	if got.status != http.StatusBadRequest {
		t.Errorf("GET: %v", got)
	}
}

// All frames of an upgrade in one piece, behind the request (trap R10).
func TestUpgradeEarly(t *testing.T) {
	a := start(t)
	p := a.poll(4)
	w, _ := a.connect(strings.ReplaceAll(p.query, "transport=polling", ""), append(append(text("2probe"), text("5")...), text("4early")...))
	w.want("3probe", "4early")
}

// A session is upgraded in its own revision only (trap K2).
func TestUpgradeInAnotherRevision(t *testing.T) {
	a := start(t)
	for _, c := range []struct{ of, with string }{{"EIO=4", "EIO=3"}, {"EIO=3", "EIO=4"}, {"EIO=3", "EIO=2"}} {
		p := a.poll(int(c.of[4] - '0'))
		if _, status := a.connect(strings.NewReplacer(c.of, c.with, "transport=polling", "").Replace(p.query), nil); status != http.StatusBadRequest {
			t.Errorf("%s with %s: %d", c.of, c.with, status)
		}
		p.query = strings.Replace(p.query, c.of, c.with, 1)
		p.wantGone()
	}
}

// An upgrade that fails leaves the session as it was, and another may follow.
func TestUpgradeFails(t *testing.T) {
	for name, after := range map[string]func(*socket){
		"closed at once":       func(*socket) {},
		"another probe":        func(w *socket) { w.send("2wrong"); w.wantEnd() },
		"ping":                 func(w *socket) { w.send("2"); w.wantEnd() },
		"message":              func(w *socket) { w.send("4x"); w.wantEnd() },
		"no packet":            func(w *socket) { w.send("x"); w.wantEnd() },
		"unmasked":             func(w *socket) { w.raw([]byte{0x81, 1, '5'}); w.wantEnd() },
		"close frame":          func(w *socket) { w.raw(masked(ws.OpClose, true, nil)); w.wantEnd() },
		"probe, then closed":   func(w *socket) { w.send("2probe"); w.want("3probe") },
		"probe, then nonsense": func(w *socket) { w.send("2probe"); w.want("3probe"); w.send("4x"); w.wantEnd() },
	} {
		t.Run(name, func(t *testing.T) {
			a := start(t)
			p := a.poll(4)
			failed := p.upgrade()
			after(failed)
			_ = failed.conn.Close()
			p.untilPolling()
			waiting := p.wait()
			p.wantPost("4alive")
			wantAnswer(t, "GET", await(t, "it", waiting), http.StatusOK, "4alive")

			w := p.probed()
			w.send("5")
			w.send("4hello")
			w.want("4hello")
		})
	}
}

// untilPolling waits until an upgrade has failed.
func (p *pollClient) untilPolling() {
	p.t.Helper()
	until(p.t, "the upgrade to fail", func() bool {
		p.session.mu.Lock()
		defer p.session.mu.Unlock()
		return p.session.upgrade == upgrade{} && !polling{p.session}.moved()
	})
}

// An invalid websocket handshake does not block the next one.
func TestUpgradeWithoutHandshake(t *testing.T) {
	p := start(t).poll(4)
	polling := p.query
	p.query = strings.Replace(polling, "polling", "websocket", 1)
	if got := p.request("GET", "", "Upgrade", "nonsense", "Connection", "Upgrade"); got.status != http.StatusBadRequest {
		t.Errorf("%v", got)
	}
	p.query = polling
	p.untilPolling()
	p.probed()
}

// While one websocket asks to take over, and when it has, a second one is
// closed, as the published suite has it.
func TestUpgradeTwice(t *testing.T) {
	a := start(t)
	p := a.poll(4)
	w := p.upgrade()
	second := func() {
		t.Helper()
		w, status := a.connect(strings.ReplaceAll(p.query, "transport=polling", ""), nil)
		if w == nil {
			t.Fatalf("a second one: %d", status)
		}
		w.wantCode(1000)
	}
	second()
	w.send("2probe")
	w.want("3probe")
	second()
	w.send("5")
	w.send("4hello")
	w.want("4hello")
	second()
	w.send("4hello")
	w.want("4hello")
}

// A websocket that does not begin its upgrade, or does not end it, is closed.
func TestUpgradeTimesOut(t *testing.T) {
	for _, packets := range [][]string{nil, {"2probe"}} {
		synctest.Test(t, func(t *testing.T) {
			a := startPiped(t)
			p := a.poll(4)
			w, began := p.upgrade(), time.Now()
			for _, packet := range packets {
				w.send(packet)
				w.want("3probe")
			}
			_ = w.conn.SetReadDeadline(time.Time{})
			if _, err := ws.ReadFrame(w.in); err == nil || time.Since(began).Round(time.Second/10) != upgradeTimeout {
				t.Errorf("ended after %v: %v", time.Since(began), err)
			}
			synctest.Wait()
			p.wantPost("4alive")
			p.wantGet("4alive")
		})
	}
}

// upgradeTimeout does not apply after the upgrade.
func TestUpgradeThenSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := startPiped(t)
		w := a.poll(4).probed()
		w.send("5")
		w.wantLate("2")
		w.send("3")
		w.wantLate("2")
	})
}

// The session's close ends the websocket that asks to take over (trap K4).
func TestUpgradeOfAClosedSession(t *testing.T) {
	a := start(t)
	p := a.poll(4)
	w := p.probed()
	p.wantGet("6") // the probe has been dealt with
	p.wantPost("1")
	w.wantCode(1000)
	a.wantClose(ReasonClient)
}

// If a close comes during the take-over, the wait for the browser's answer is still bounded (trap K4).
func TestUpgradeAgainstClose(t *testing.T) {
	a := start(t)
	here, there := net.Pipe()
	go func() { _, _ = io.Copy(io.Discard, there) }()
	slow := &slowConn{Conn: here, entered: make(chan struct{}), leave: make(chan struct{}), ended: make(chan struct{})}
	s := a.newSession(4)
	if a.admission.Admit(s.address) != "" || !a.Server.open(s) {
		t.Fatal("not opened")
	}
	s.outbound.takeAll(a.Budget) // a write that is under way would be another case
	asks := &websocket{session: s}
	a.websockets.Init(&asks.conn, slow, asks)
	s.upgrade = upgrade{stage: probed, socket: asks}
	took := later(asks.takeOver)
	await(t, "the deadline to be lifted", slow.entered)
	closed := later(func() bool { s.Close("ours"); close(slow.leave); return true })
	await(t, "takeOver", took)
	await(t, "Close", closed)
	await(t, "the end of a browser that does not answer the close", slow.ended)
}

// A slowConn takes its time to lift the read deadline.
type slowConn struct {
	net.Conn
	entered, leave, ended chan struct{}
}

func (c *slowConn) SetReadDeadline(d time.Time) error {
	if d.IsZero() {
		close(c.entered)
		select {
		case <-c.leave:
		case <-time.After(50 * time.Millisecond): // a concurrent close waits for the lock, as it should
		}
	}
	return c.Conn.SetReadDeadline(d)
}

func (c *slowConn) Close() error {
	close(c.ended)
	return c.Conn.Close()
}

// Messages that are sent throughout an upgrade arrive once and in order (trap R9).
func TestUpgradeKeepsOrder(t *testing.T) {
	for _, eio := range []int{3, 4} {
		t.Run(fmt.Sprint(eio), func(t *testing.T) {
			t.Parallel()
			for range 10 {
				upgradeUnderLoad(t, eio)
			}
		})
	}
}

func upgradeUnderLoad(t *testing.T, eio int) {
	const count = 3000
	a := start(t)
	p := a.poll(eio, "b64=1")
	taken := make(chan struct{}, 64) // so many are on their way at most
	sender := later(func() bool {
		for i := range count {
			taken <- struct{}{}
			p.session.write(Message(strconv.AppendInt(nil, int64(i), 10)))
		}
		return true
	})
	next := 0
	take := func(packet string) {
		switch packet {
		case "6":
		case "4" + strconv.Itoa(next):
			next++
			<-taken
		default:
			t.Fatalf("got %q, want message %d", packet, next)
		}
	}
	poll := func() {
		for _, packet := range p.packets(await(t, "the answer", later(p.get))) {
			take(packet)
		}
	}
	poll()
	w := p.upgrade()
	w.send("2probe")
	probed := later(func() string { _, b, _ := w.next(); return string(b) })
	for waiting := true; waiting; {
		poll()
		select {
		case got := <-probed:
			if got != "3probe" {
				t.Fatalf("probe: %q", got)
			}
			waiting = false
		default:
		}
	}
	w.send("5")
	if next == 0 || next == count {
		t.Fatalf("upgraded at message %d", next)
	}
	for next < count {
		_, packet := w.receive()
		take(string(packet))
	}
	await(t, "the sender", sender)
	w.send("4fence")
	w.want("4fence")
}
