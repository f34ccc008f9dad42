package eio

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Several goroutines send to sessions of all kinds at once. Each session gets
// its own messages, once and in order.
func TestSendFromManyGoroutines(t *testing.T) {
	const messages, goroutines = 200, 3
	a := start(t)
	var sockets []*socket
	var sessions []*Session
	for i := range 67 {
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

// A frame that the kernel accepted in part, or not at all, is continued there.
// WriteTimeout counts from when the kernel last accepted bytes.
func TestSendToSlowReaders(t *testing.T) {
	a := start(t, func(c *config) { c.QueueLength, c.QueueBytes, c.WriteTimeout = 1<<20, 1<<30, time.Minute })
	reads, never := a.socket(4), a.socket(4)
	stuck := func(w *socket) bool {
		return w.session.transport().unwritten() > 0
	}
	padding := strings.Repeat("x", 16<<10)
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
