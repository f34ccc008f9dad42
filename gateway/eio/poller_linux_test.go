package eio

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
)

// An idle websocket has no goroutine, and hears all the same.
func TestIdleSocketsHaveNoGoroutine(t *testing.T) {
	if *withoutPoller {
		t.Skip("each has one without the poller")
	}
	a := start(t)
	before := runtime.NumGoroutine()
	all := make([]*socket, 100)
	for i := range all {
		all[i] = a.socket(4)
	}
	for range 3 {
		for _, w := range all {
			w.send("4here")
		}
		for _, w := range all {
			w.want("4here")
		}
		until(t, "the readers to be gone", func() bool { return runtime.NumGoroutine() <= before+len(all)/10 })
	}
}

// Whichever of the browser, the server and the next connection with the same
// descriptor is first: each wait ends, once. Server.Close waits for all of them.
func TestWaitsEnd(t *testing.T) {
	a := start(t)
	a.onOpen = func(s *Session) {
		if rand.N(2) == 0 {
			go s.Close("ours")
		}
	}
	a.onMessage = func(s *Session, _ []byte, _ bool) {
		if rand.N(4) == 0 {
			go s.server.session(s.id).tryAbort()
		}
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 500 {
				conn, err := a.dial()
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = conn.Write([]byte("GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n" +
					"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"))
				if rand.N(2) == 0 {
					_, _ = conn.Read(make([]byte, 1))
				}
				_, _ = conn.Write(text("4x"))
				for range rand.N(500) {
					runtime.Gosched()
				}
				_ = conn.Close()
			}
		})
	}
	all.Wait()
	until(t, "all to be closed", func() bool { return a.Sessions() == 0 })
}

// tryAbort ends a session's websocket, if there are both.
func (s *Session) tryAbort() {
	if s == nil {
		return
	}
	if socket := s.websocket(); socket != nil {
		socket.abort()
	}
}
