package eio

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
	"pgregory.net/rapid"

	"github.com/ramainen/doit-socket/internal/budget"
)

// What waits for polling browsers counts: a frame once for all sessions that it waits for. What a poll takes counts no
// more, nor what waited for a session that has closed.
func TestWhatWaitsCounts(t *testing.T) {
	a := start(t)
	one, two := a.poll(4), a.poll(4)
	until(t, "the answers to the handshakes to count no more", func() bool { return a.Budget.Used() == 0 })
	frame := Message(make([]byte, 1000))
	each := int64(len(frame.wire) + frameBytes)
	for i, p := range []*pollClient{one, two} {
		p.session.write(frame)
		if used, want := a.Budget.Used(), each+int64(i+1)*slotBytes; used != want {
			t.Errorf("%d bytes count with %d sessions, want %d", used, i+1, want)
		}
	}
	one.session.write(Message(make([]byte, 2000)))
	one.get()
	until(t, "the answer to count no more", func() bool { return a.Budget.Used() == each+slotBytes })
	two.session.Close(ReasonServer)
	if used := a.Budget.Used(); used != 0 {
		t.Errorf("%d bytes count after the close", used)
	}
}

// What the kernel does not take for a websocket counts, with its full send buffer, until the browser reads.
func TestWhatIsStuckCounts(t *testing.T) {
	for name, size := range map[string]int{"copied": 1000, "shared": 100_000} {
		t.Run(name, func(t *testing.T) {
			a := start(t, func(c *config) { c.QueueBytes = 1 << 30 })
			w := a.socket(4)
			sent := 0
			for ; a.Budget.Used() < stallBytes+1<<20 && sent < 1<<20; sent++ {
				w.session.write(Message(make([]byte, size)))
			}
			if used := a.Budget.Used(); used < stallBytes+1<<20 {
				t.Fatalf("%d bytes count after %d messages", used, sent)
			}
			for range sent {
				w.receive()
			}
			until(t, "everything to be returned", func() bool { return a.Budget.Used() == 0 })
		})
	}
}

// After any sequence of writes, polls, jams and closes nothing counts once all sessions have closed. The end of each
// test checks it; here also that what counts is never less than what waits.
func TestBudgetProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := budget.New(1 << 40)
		queues := make([]outbound, 3)
		var frames []*Frame
		for range 4 {
			frames = append(frames, Message(make([]byte, rapid.SampledFrom([]int{0, 100, batch / 2, 2 * batch}).Draw(t, "size"))))
		}
		queue := func() *outbound { return &queues[rapid.IntRange(0, 2).Draw(t, "queue")] }
		t.Repeat(map[string]func(*rapid.T){
			"push":    func(t *rapid.T) { queue().push(rapid.SampledFrom(frames).Draw(t, "frame")) },
			"stall":   func(*rapid.T) { queue().charge(b, true) },
			"leave":   func(*rapid.T) { queue().charge(b, false) },
			"takeAll": func(*rapid.T) { queue().takeAll(b) },
			"landed":  func(*rapid.T) { queue().landed(b) },
			"clear":   func(*rapid.T) { queue().clear(b) },
			"take": func(t *rapid.T) {
				if q := queue(); len(q.frames) > 0 {
					q.take(b)
				}
			},
			"": func(t *rapid.T) {
				want := int64(0)
				held := make(map[*Frame]bool)
				for i := range queues {
					q := &queues[i]
					want += int64(q.charged * slotBytes)
					for _, f := range q.frames[:q.charged] {
						held[f] = true
					}
					if q.stalled {
						want += stallBytes
						if q.shared != nil {
							held[q.shared] = true
						} else {
							want += int64(len(q.flying))
						}
					}
				}
				for f := range held {
					want += int64(len(f.wire) + frameBytes)
				}
				if b.Used() != want {
					t.Fatalf("%d bytes count, want %d", b.Used(), want)
				}
			},
		})
		for i := range queues {
			queues[i].clear(b)
		}
		if b.Used() != 0 {
			t.Fatalf("%d bytes count in the end", b.Used())
		}
	})
}

// The sessions with the longest queues are closed, and no more of them than needed.
func TestRelieve(t *testing.T) {
	a := start(t)
	a.Budget = budget.New(1 << 20)
	a.Budget.AddHolders(a.Holders)
	var all []*pollClient
	for i := range 8 {
		p := a.poll(4)
		for range 1 + i {
			p.session.write(Message(make([]byte, 32<<10)))
		}
		all = append(all, p)
	}
	if closed := a.Budget.Relieve(); closed != 1 { // 36 x 32 KiB wait; without the last one's 28
		t.Errorf("%d are closed", closed)
	}
	for i, p := range all {
		p.session.mu.Lock()
		closed, reason := p.session.state == closed, p.session.reason
		p.session.mu.Unlock()
		if want := i == 7; closed != want || closed && reason != ReasonMemory {
			t.Errorf("session %d: closed %v, %q", i, closed, reason)
		}
	}
	if a.Budget.Relieve() != 0 {
		t.Error("more are closed, though there is room")
	}
}

// A queue that is never empty keeps nothing of what has left it.
func TestQueueKeepsNothing(t *testing.T) {
	var q outbound
	for range 100 {
		q.push(Message([]byte("x")))
	}
	array := q.frames
	q.remove(1, nil)
	q.remove(98, nil)
	for i, f := range array[:99] {
		if f != nil {
			t.Fatalf("frame %d is kept", i)
		}
	}
	if q.single[0] != nil {
		t.Error("the first frame is kept")
	}
}

// A session that has sent a part of a large message is cut and gives the part back at once, not one that has sent nothing.
func TestIncompleteMessageIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := startPiped(t)
		quiet, s, full, began := a.socket(4), a.socket(4), int(a.Budget.Limit()), time.Now()
		half := masked(ws.OpText, true, append([]byte("4"), bytes.Repeat([]byte("x"), 600<<10)...))
		s.raw(half[:len(half)/2])
		synctest.Wait()
		if used := a.Budget.Used(); used < 300<<10 {
			t.Fatalf("%d bytes count", used)
		}
		a.Budget.Add(full)
		told := make(chan struct{})
		go func() { s.wantCode(1013); close(told) }()
		if n := a.Budget.Relieve(); n != 1 {
			t.Errorf("%d are cut", n)
		}
		a.wantClose(ReasonMemory)
		<-told
		synctest.Wait()
		a.Budget.Return(full)
		if used := a.Budget.Used(); used != 0 || time.Since(began) > 0 {
			t.Errorf("%d bytes count after %v", used, time.Since(began))
		}
		quiet.send("4x")
		quiet.want("4x")
	})
}

// Incomplete messages on websockets count, whole frames and fragments. Beyond the budget the browser is turned away.
func TestIncompleteMessagesCount(t *testing.T) {
	a := start(t)
	a.Budget = budget.New(1 << 20)
	half := masked(ws.OpText, true, append([]byte("4"), bytes.Repeat([]byte("x"), 600<<10)...))
	first := a.socket(4)
	first.raw(half[:len(half)/2])
	until(t, "half a frame to count", func() bool { return a.Budget.Used() >= 300<<10 })
	second := a.socket(4)
	second.raw(masked(ws.OpText, false, append([]byte("4"), bytes.Repeat([]byte("x"), 300<<10)...)))
	until(t, "a fragment to count", func() bool { return a.Budget.Used() >= 600<<10 })
	third := a.socket(4)
	go third.conn.Write(half[:len(half)-1])
	third.wantCode(1013)
	a.wantClose(ReasonMemory)
	first.raw(half[len(half)/2:])
	if _, echo := first.receive(); len(echo) != 1+600<<10 {
		t.Errorf("%d bytes are echoed", len(echo))
	}
	_ = first.conn.Close()
	_ = second.conn.Close()
	until(t, "everything to be returned", func() bool { return a.Budget.Used() == 0 })
}

// The body of a POST counts while it is read and handled. Without room for it the session ends, with an answer that says
// when to come again.
func TestBodiesCount(t *testing.T) {
	a := start(t)
	a.Budget = budget.New(1 << 20)
	inside := make(chan int64, 1)
	a.onMessage = func(*Session, []byte, bool) { inside <- a.Budget.Used() }
	p := a.poll(4)
	p.wantPost("4" + strings.Repeat("x", 100<<10))
	if used := await(t, "the message", inside); used < 200<<10 {
		t.Errorf("%d bytes count while it is handled", used)
	}
	until(t, "everything to be returned", func() bool { return a.Budget.Used() == 0 })
	got := p.post("4" + strings.Repeat("x", 900<<10))
	if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("%d %q", got.status, got.body)
	}
	a.wantClose(ReasonMemory)
	if refused := fmt.Sprint(a.Budget.Refused()); refused != "1" {
		t.Errorf("%s refusals are counted", refused)
	}
}
