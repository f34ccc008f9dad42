package eio

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Sessions of all kinds are written to together, from several goroutines: each
// hears what is for it, once and in order.
func TestWriteAhead(t *testing.T) {
	const messages, goroutines = 200, 3
	a := start(t)
	var sockets []*socket
	var sessions []*Session
	for i := range 2*ringSize + 3 {
		w := a.socket(3 + i%2)
		sockets, sessions = append(sockets, w), append(sessions, w.session)
	}
	p := a.poll(4)
	gone := a.socket(4)
	gone.session.Close("ours")
	a.wantClose("ours")
	sessions = append(sessions, p.session, gone.session)

	var order sync.Mutex // of a message at all sessions
	sent := 0
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			mine := slices.Clone(sessions)
			for {
				rand.Shuffle(len(mine), func(i, j int) { mine[i], mine[j] = mine[j], mine[i] })
				order.Lock()
				n := sent
				sent++
				for _, s := range mine {
					if took := n < messages && s.Send(Message(fmt.Append(nil, n))); took == (s == gone.session) && n < messages {
						t.Errorf("message %d: taken: %v", n, took)
					}
				}
				order.Unlock()
				if n >= messages {
					return
				}
				a.WriteAhead(mine)
				for _, s := range mine {
					s.Flush()
				}
			}
		})
	}
	var want []string
	for n := range messages {
		want = append(want, fmt.Sprint("4", n))
	}
	for _, w := range sockets {
		w.want(want...)
	}
	all.Wait()
	var heard []string
	for len(heard) < messages {
		got := p.get()
		wantAnswer(t, "poll", got, http.StatusOK, got.body)
		heard = append(heard, p.packets(got)...)
	}
	if !slices.Equal(heard, want) {
		t.Errorf("on polling: %q", heard)
	}
}

// What the kernel takes a part of, or nothing, is carried on with from there;
// the browser has its time from when it last took something.
func TestWriteAheadToSlowReaders(t *testing.T) {
	a := start(t, func(c *Config) { c.QueueLength, c.QueueBytes, c.WriteTimeout = 1<<20, 1<<30, time.Minute })
	reads, never := a.socket(4), a.socket(4)
	stuck := func(w *socket) bool {
		own := w.session.websocket()
		own.writer.Lock()
		defer own.writer.Unlock()
		return len(own.rest) > 0
	}
	padding := strings.Repeat("x", aheadBytes-100)
	var packets []string
	for behind := 0; behind < 3; {
		if stuck(reads) && stuck(never) {
			behind++
		}
		m := fmt.Sprint(len(packets), padding)
		packets = append(packets, "4"+m)
		sessions := []*Session{reads.session, never.session}
		for _, s := range sessions {
			s.Send(Message([]byte(m)))
		}
		a.WriteAhead(sessions)
		for _, s := range sessions {
			if !s.Flush() {
				t.Fatal("closed")
			}
		}
	}
	reads.want(packets...)
	never.session.tryAbort()
	a.wantClose(ReasonNetwork)
}

// What is large is left to Flush: the call would take long.
func TestLargeFramesAreNotWrittenAhead(t *testing.T) {
	a := start(t)
	w := a.socket(4)
	large := strings.Repeat("x", aheadBytes)
	w.session.Send(Message([]byte(large)))
	if c := w.session.beginWrite(); c != nil {
		c.endWrite(0)
		t.Error("a large one is")
	}
	w.session.Flush()
	w.want("4" + large)
	for range 2 {
		w.session.Send(Message([]byte(large[:aheadBytes/2])))
	}
	c := w.session.beginWrite()
	if c == nil {
		t.Fatal("a small one is not")
	}
	if n := len(c.rest); n > aheadBytes {
		t.Errorf("%d bytes are", n)
	}
	c.endWrite(0)
	w.session.Flush()
	w.want("4"+large[:aheadBytes/2], "4"+large[:aheadBytes/2])
}

// Where a websocket is being written to, or its descriptor may be another's,
// nothing is written ahead.
func TestNothingIsWrittenAhead(t *testing.T) {
	a := start(t)
	w := a.socket(4)
	own := w.session.websocket()
	w.session.Send(Message([]byte("x")))
	own.writer.Lock()
	if w.session.beginWrite() != nil {
		t.Error("though another writes")
	}
	own.aborted = true
	own.writer.Unlock()
	if c := w.session.beginWrite(); c != nil {
		c.endWrite(0)
		t.Error("though it is aborted")
	}
	own.writer.Lock()
	own.aborted = false
	own.writer.Unlock()
	w.session.Flush()
	w.want("4x")
}

// A descriptor that is no socket harms none of its neighbours.
func TestRing(t *testing.T) {
	var lent rings
	defer lent.close()
	r := lent.borrow()
	if r == nil {
		t.Log("the kernel lends no ring here")
		return
	}
	defer lent.give(r)
	a := start(t)
	w := a.socket(4)
	own := w.session.websocket()
	for round := range 3 { // more than the ring has places
		frame := Message(fmt.Append(nil, round)).wire
		for i := range ringSize {
			if i == 7 {
				r.add(own.descriptor, frame)
			} else {
				r.add(-1, frame)
			}
		}
		r.send()
		runtime.KeepAlive(frame)
		for i := range ringSize {
			want := 0
			if i == 7 {
				want = len(frame)
			}
			if got := r.sent(i); got != want {
				t.Errorf("round %d: send %d took %d bytes, want %d", round, i, got, want)
			}
		}
		w.want(fmt.Sprint("4", round))
	}
}
