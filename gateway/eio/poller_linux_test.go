package eio

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/gobwas/ws"
)

// An idle websocket has no goroutine with the poller, and one without it. In both cases it receives events.
func TestIdleSocketsHaveNoGoroutine(t *testing.T) {
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
		until(t, "the readers to be gone, or to wait", func() bool {
			few := runtime.NumGoroutine() <= before+len(all)/10
			return few != *portable
		})
	}
}

// Each wait ends once, in whatever order the browser, the server and the next
// connection with the same descriptor act. Server.Close waits for all of them.
func TestWaitsEnd(t *testing.T) {
	a := start(t)
	a.onOpen = func(s *Session) {
		if rand.N(2) == 0 {
			go s.Close("ours")
		}
	}
	a.onMessage = func(s *Session, _ []byte, _ bool) {
		if rand.N(4) == 0 {
			go s.server.sessions.get(s.id).tryAbort()
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

// Bytes that arrive on many websockets at the same time are all handled, also if
// they arrive one by one.
func TestAllAtOnce(t *testing.T) {
	a := start(t)
	all := make([]*socket, 500)
	for i := range all {
		all[i] = a.socket(4)
	}
	for range 5 {
		var clients sync.WaitGroup
		together := make(chan struct{})
		for i, w := range all {
			clients.Go(func() {
				<-together
				frame := text("4at once")
				if i%50 > 0 {
					w.raw(frame)
				} else {
					for _, b := range frame {
						w.raw([]byte{b})
					}
				}
				if op, got, err := w.next(); err != nil || op != ws.OpText || string(got) != "4at once" {
					t.Errorf("got %v %q, %v", op, got, err)
				}
			})
		}
		close(together)
		clients.Wait()
	}
}
