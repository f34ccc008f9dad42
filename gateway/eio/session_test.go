package eio

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// If many goroutines close a session during messages, OnClose comes once and
// last, and no two callbacks overlap: the app checks that (traps R6, R7).
func TestCloseFromEverywhere(t *testing.T) {
	a := start(t)
	a.onMessage = func(s *Session, data []byte, _ bool) {
		if string(data) == "close" {
			s.Close("in a turn")
		}
	}
	for i := range 30 {
		w, p := a.socket(4), a.poll(3+i%2, "b64=1")
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() { w.session.Close("a") })
			all.Go(func() { p.session.Close("b") })
		}
		all.Go(func() {
			for range 20 {
				if _, err := w.conn.Write(text("4x")); err != nil {
					return
				}
			}
			_, _ = w.conn.Write(text("4close"))
			_ = w.conn.Close()
		})
		all.Go(func() {
			p.post(strings.Repeat("2:4x", 50) + "6:4close")
			p.post(strings.Repeat("4x\x1e", 50) + "4close")
		})
		all.Go(func() { p.get() })
		all.Wait()
		<-a.closed
		<-a.closed
	}
	if len(a.opened) != 0 || len(a.closed) != 0 {
		t.Errorf("%d opened, %d closed too often", len(a.opened), len(a.closed))
	}
}

// After a close inside a turn, OnClose comes when the turn ends, and later
// packets are ignored (trap R4).
func TestCloseInATurn(t *testing.T) {
	a := start(t)
	told := false
	a.onMessage = func(s *Session, data []byte, _ bool) {
		s.Close("ours")
		if told || string(data) != "first" {
			t.Errorf("heard %q, told %v", data, told)
		}
	}
	a.onClose = func(*Session, Reason) { told = true }
	w := a.socket(4)
	w.raw(append(text("4first"), text("4second")...))
	w.wantCode(1000)
	a.wantClose("ours")
}

// A session that is closed in OnOpen was open, and closes (trap R5).
func TestCloseInOnOpen(t *testing.T) {
	a := start(t)
	a.onOpen = func(s *Session) { s.Close("ours") }
	if got := a.newPoller("EIO=4&transport=polling").get(); got.status != http.StatusBadRequest {
		t.Errorf("%v", got)
	}
	a.wantClose("ours")
	w, _ := a.connect("EIO=4", nil)
	a.wantClose("ours")
	if _, _, err := w.next(); err == nil {
		w.wantEnd()
	}
}

// A panic in a callback ends its session only.
func TestPanicEndsOneSession(t *testing.T) {
	a := start(t)
	var where atomic.Pointer[string] // the callback that panics
	fault := func(name string) {
		if at := where.Load(); at != nil && *at == name {
			panic("fault in " + name)
		}
	}
	a.onOpen = func(*Session) { fault("OnOpen") }
	a.onMessage = func(s *Session, data []byte, _ bool) {
		if string(data) == "fault" {
			fault("OnMessage")
		}
		s.write(Message(data))
	}
	a.onClose = func(*Session, Reason) { fault("OnClose") }
	other, w, p := a.socket(4), a.socket(4), a.poll(4)

	where.Store(new("OnMessage"))
	w.send("4fault")
	w.wantCode(1011)
	a.wantClose(ReasonPanicking)
	p.post("4fault")
	a.wantClose(ReasonPanicking)
	p.wantGone()

	where.Store(new("OnOpen"))
	if got := a.newPoller("EIO=4&transport=polling").get(); got.status != http.StatusBadRequest {
		t.Errorf("%v", got)
	}
	a.wantClose(ReasonPanicking)
	<-a.opened

	where.Store(new("OnClose"))
	p = a.poll(4)
	waiting := p.wait()
	p.wantPost("1")
	a.wantClose(ReasonClient)
	await(t, "the GET that waited", waiting)
	p.wantGone()
	where.Store(nil)

	other.send("4fault")
	other.want("4fault")
}

// The last frame arrives before the end: on a websocket while others write, in
// the poll that waits, and in the next one if none does.
func TestFinish(t *testing.T) {
	a := start(t)
	last := Message([]byte("last"))
	for range 300 {
		w := a.socket(4)
		before := later(func() bool { w.session.write(Message([]byte("before"))); return true })
		w.session.Finish(last, "ours")
		packet := ""
		for packet != "4last" {
			_, p := w.receive()
			packet = string(p)
		}
		w.wantCode(1000)
		a.wantClose("ours")
		<-before
	}
	for _, waits := range []bool{true, false} {
		p := a.poll(4)
		var waiting <-chan answer
		if waits {
			waiting = p.wait()
		}
		p.session.Finish(last, "ours")
		if p.session.Send(last) {
			t.Error("something was taken after the last frame")
		}
		if waits {
			wantAnswer(t, "the GET", await(t, "it", waiting), http.StatusOK, "4last\x1e1")
		} else {
			p.wantGet("4last\x1e1")
		}
		a.wantClose("ours")
		p.wantGone()
	}
	large := Message([]byte(strings.Repeat("x", 8<<20))) // the kernel does not take it at once
	w := a.socket(4)
	w.session.write(large)
	w.session.Finish(last, "ours")
	w.want("4"+strings.Repeat("x", 8<<20), "4last")
	w.wantCode(1000)
}

// Close ends every session in any state, and accepts no new one.
func TestServerClose(t *testing.T) {
	a := start(t)
	socket, waiting, isProbing, wasProbed, posting := a.socket(4), a.poll(4), a.poll(4), a.poll(3), a.poll(4)
	get := waiting.wait()
	probe, answered := isProbing.upgrade(), wasProbed.upgrade()
	answered.send("2probe")
	answered.want("3probe")
	until(t, "the probe to be answered", func() bool {
		wasProbed.session.mu.Lock()
		defer wasProbed.session.mu.Unlock()
		return wasProbed.session.upgrade.stage == probed
	})
	body, half := io.Pipe()
	post := later(func() answer { return posting.do(http.MethodPost, body) })
	_, _ = half.Write([]byte("4"))

	done := later(func() bool { a.shut(); return true })
	wantAnswer(t, "the GET", await(t, "the GET", get), http.StatusOK, "1")
	socket.wantCode(1001)
	probe.wantCode(1001)
	answered.wantCode(1001)
	await(t, "Close", done)
	for range 5 {
		a.wantClose(ReasonServer)
	}
	_ = half.Close()
	await(t, "the POST", post)
	if got := a.newPoller("EIO=4&transport=polling").get(); got.status != http.StatusServiceUnavailable {
		t.Errorf("after Close: %v", got)
	}
	if w, _ := a.connect("EIO=4", nil); w != nil {
		w.wantEnd()
	}
	if len(a.opened) != 0 || a.Sessions() != 0 {
		t.Error("a session was opened after Close")
	}
}

// The callbacks of a session that opens while the server closes come in order.
func TestOpenAgainstServerClose(t *testing.T) {
	for range 1000 {
		var told []string // OnOpen and OnClose never overlap
		srv := New(DefaultConfig(), slog.New(slog.DiscardHandler))
		srv.OnOpen = func(*Session) { told = append(told, "open") }
		srv.OnClose = func(*Session, Reason) { told = append(told, "close") }
		opening := later(func() bool { return srv.open(srv.newSession(4)) })
		for srv.Sessions() == 0 {
			runtime.Gosched()
		}
		srv.Close()
		<-opening
		if got := fmt.Sprint(told); got != "[open close]" {
			t.Fatal(got)
		}
	}
}

// A browser that does not read is closed as slow, and holds nothing then (trap M2).
func TestSlowReader(t *testing.T) {
	for name, change := range map[string]func(*config){
		"queue of messages": func(c *config) { c.QueueLength = 10 },
		"queue of bytes":    func(c *config) { c.QueueBytes = 1 << 20 },
		"network":           func(c *config) { c.WriteTimeout = 50 * time.Millisecond; c.QueueBytes = 1 << 30 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := start(t, change)
			w := a.socket(4)
			stop := make(chan struct{})
			pongs := later(func() error { // as blind signs of life, trap M2
				for {
					select {
					case <-stop:
						return nil
					default:
					}
					if _, err := w.conn.Write(text("3")); err != nil {
						return err
					}
				}
			})
			message := Message([]byte(strings.Repeat("x", 100<<10)))
			sent := 0
			for w.session.Send(message) && w.session.Flush() && sent < 1000 { // 100 MB
				sent++
			}
			a.wantClose(ReasonSlow)
			close(stop)
			_ = w.conn.Close()
			await(t, "the pongs to end", pongs)
			w.wantNothingKept()
		})
	}
}

// A browser on polling that does not ask is no different (trap M3).
func TestSlowPoller(t *testing.T) {
	a := start(t, func(c *config) { c.QueueLength = 10 })
	p := a.poll(4)
	for i := range 10 {
		if !p.session.Send(Message([]byte("x"))) || !p.session.Flush() {
			t.Fatalf("message %d was not taken", i)
		}
	}
	if p.session.Send(Message([]byte("x"))) && p.session.Flush() {
		t.Error("one message too many was taken")
	}
	a.wantClose(ReasonSlow)
	p.wantGone()
}

// A burst above the limits of the queue does not close a browser that reads.
func TestBurstBeyondTheBound(t *testing.T) {
	a := start(t, func(c *config) { c.QueueLength, c.QueueBytes = 10, 1000 })
	w, p := a.socket(4), a.poll(4)
	waiting := p.wait()
	until(t, "the poll to wait", func() bool {
		p.session.mu.Lock()
		defer p.session.mu.Unlock()
		return p.session.poll.waiting != nil
	})
	var packets []string
	for i := range 100 {
		m := fmt.Sprintf("%d %s", i, strings.Repeat("x", 100))
		packets = append(packets, "4"+m)
		for _, s := range []*Session{w.session, p.session} {
			if !s.Send(Message([]byte(m))) {
				t.Fatalf("message %d was not taken", i)
			}
		}
	}
	if !w.session.Flush() || !p.session.Flush() {
		t.Fatal("closed")
	}
	w.want(packets...)
	wantAnswer(t, "the poll", await(t, "it", waiting), http.StatusOK, strings.Join(packets, "\x1e"))
}

// One message of any size is accepted: NATS bounds it by its max_payload.
func TestLargeMessage(t *testing.T) {
	a := start(t, func(c *config) { c.QueueBytes = 1000 })
	w, p := a.socket(4), a.poll(4)
	large := strings.Repeat("x", 8<<20)
	w.session.write(Message([]byte(large)))
	w.want("4" + large)
	p.session.write(Message([]byte(large)))
	p.wantGet("4" + large)
}

// A slow browser that keeps reading gets everything in order, and its messages
// are handled meanwhile.
func TestSlowButReading(t *testing.T) {
	a := start(t)
	w := a.socket(4)
	pad := strings.Repeat("x", 32<<10)
	const count = 300 // 10 MB: more than the kernel takes at once
	taken := make(chan struct{}, 40)
	sender := later(func() bool {
		for i := range count {
			taken <- struct{}{}
			w.session.write(Message(fmt.Appendf(nil, "%d %s", i, pad)))
		}
		return true
	})
	until(t, "the kernel to refuse more", func() bool {
		return w.session.transport().unwritten() > 0 || len(taken) == cap(taken)
	})
	for i := range count {
		w.want(fmt.Sprintf("4%d %s", i, pad))
		<-taken
	}
	await(t, "the sender", sender)
	w.send("4fence")
	w.want("4fence")
}

// Every message goes to the kernel or to the waiting GET once, with any number of goroutines that flush.
func TestFlushFromEverywhere(t *testing.T) {
	a := start(t)
	w := a.socket(4)
	const senders, each = 8, 200
	var all sync.WaitGroup
	for range senders {
		all.Go(func() {
			for range each {
				w.session.write(Message([]byte("x")))
			}
		})
	}
	for range senders * each {
		w.want("4x")
	}
	all.Wait()
	w.send("4fence")
	w.want("4fence")
}

// A websocket without a descriptor, as under TLS, does the same.
func TestWithoutDescriptor(t *testing.T) {
	a := startPiped(t)
	w := a.socket(4)
	for i := range 100 {
		w.send(fmt.Sprintf("4%d", i))
		w.want(fmt.Sprintf("4%d", i))
	}
	w.idle() // a close in the middle of a write has no place for its frame
	w.send("abc")
	w.wantCode(1002)
	a.wantClose(ReasonProtocol)
}

// Senders that are faster than the writer do not close a browser: a goroutine
// that sends also writes, so only the browser can cause a backlog.
func TestBusyServerClosesNobody(t *testing.T) {
	a := start(t, func(c *config) { c.QueueLength = 16 })
	w := a.socket(4)
	const senders, each = 8, 500
	var all sync.WaitGroup
	for range senders {
		all.Go(func() {
			for range each {
				if !w.session.Send(Message([]byte("x"))) || !w.session.Flush() {
					t.Error("closed")
					return
				}
			}
		})
	}
	for range senders * each {
		w.want("4x")
	}
	all.Wait()
}
