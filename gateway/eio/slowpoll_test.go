package eio

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// asks sends a GET of the session on a connection of its own, and reads no answer.
func (p *pollClient) asks(t *testing.T) *stranger {
	t.Helper()
	s, err := p.stranger()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	_ = s.SetDeadline(time.Time{})
	s.say([]byte("GET /socket.io/?"+p.query+" HTTP/1.1\r\nHost: test\r\n\r\n"), 0)
	return s
}

// A browser that reads steadily gets its answer however long that takes: longer than WriteTimeout, than net/http's
// timeout and than a heartbeat. It stays connected, and a ping that had to wait for the answer can be answered after it.
func TestSteadyPoll(t *testing.T) {
	for _, eio := range []int{3, 4} {
		synctest.Test(t, func(t *testing.T) {
			a := startPiped(t)
			p := a.poll(eio, "b64=1")
			text := strings.Repeat("x", 1<<20)
			p.session.write(Message([]byte(text)))
			s, began := p.asks(t), time.Now()
			resp, err := http.ReadResponse(s.in, nil)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			for err == nil {
				time.Sleep(a.WriteTimeout * 9 / 10)
				_, err = io.CopyN(&got, resp.Body, piece)
			}
			if !errors.Is(err, io.EOF) || !strings.HasSuffix(got.String(), "4"+text) {
				t.Errorf("EIO %d: got %d bytes, %v", eio, got.Len(), err)
			}
			if took := time.Since(began); took < 2*time.Minute {
				t.Errorf("EIO %d: it took %v: the test has shown nothing", eio, took)
			}
			if eio == 4 {
				p.wantGet("2")
				p.wantPost("3")
			} else {
				p.wantPost("1:2")
				p.wantGet("1:3")
			}
			if len(a.closed) > 0 {
				t.Errorf("EIO %d: closed: %s", eio, <-a.closed)
			}
		})
	}
}

// A browser that takes less than a piece in WriteTimeout is cut as slow, also if it takes something again and again.
func TestTricklingPoll(t *testing.T) {
	for _, each := range []int64{1, piece / 3} {
		synctest.Test(t, func(t *testing.T) {
			a := startPiped(t)
			p := a.poll(4)
			p.session.write(Message(bytes.Repeat([]byte("x"), 1<<20)))
			s, began := p.asks(t), time.Now()
			read := later(func() error {
				for {
					if _, err := io.CopyN(io.Discard, s, each); err != nil {
						return err
					}
					time.Sleep(a.WriteTimeout * 9 / 10)
				}
			})
			if reason := <-a.closed; reason != ReasonSlow || time.Since(began) > 2*a.WriteTimeout {
				t.Errorf("%d bytes at a time: closed after %v: %s", each, time.Since(began), reason)
			}
			<-read // the connection has ended, so nothing holds the answer
		})
	}
}

// A GET waits while an earlier one is being answered: a browser must not empty its queue into many answers that it does
// not read.
func TestOneAnswerAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := startPiped(t)
		p := a.poll(4)
		p.session.write(Message(bytes.Repeat([]byte("x"), 2*piece)))
		first := p.asks(t)
		synctest.Wait()
		p.session.write(Message([]byte("next")))
		second := later(p.get)
		synctest.Wait()
		p.session.mu.Lock()
		if queued := len(p.session.outbound.frames); queued != 1 || p.session.poll.waiting == nil {
			t.Errorf("%d frames wait for the second GET", queued)
		}
		p.session.mu.Unlock()
		if _, body, err := first.answer(); err != nil || len(body) != 2*piece+1 {
			t.Errorf("the first GET: %d bytes, %v", len(body), err)
		}
		wantAnswer(t, "the second GET", <-second, http.StatusOK, "4next")
	})
}

// An answer that is not read holds no copy of its frames: many sessions share an event.
func TestAnswersShareFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := startPiped(t)
		frame := Message(bytes.Repeat([]byte("x"), 1<<20))
		before := heap()
		for range 40 {
			p := a.poll(4)
			p.session.write(frame)
			p.asks(t)
		}
		synctest.Wait()
		if grown := heap() - before; grown > 10<<20 {
			t.Errorf("40 answers of the same MiB take %d KiB", grown>>10)
		}
		if used := a.Budget.Used(); used < 1<<20 || used > 1<<20+4096 {
			t.Errorf("%d bytes count", used)
		}
		runtime.KeepAlive(frame)
	})
}

// The rest of an answer is not written when its session was closed because memory is full.
func TestAnswerIsCutForMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := startPiped(t)
		p := a.poll(4)
		p.session.write(Message(bytes.Repeat([]byte("x"), 8*piece)))
		s := p.asks(t)
		synctest.Wait()
		p.session.Close(ReasonMemory)
		if got, err := io.ReadAll(s); err != nil || len(got) > 2*piece {
			t.Errorf("%d bytes were written, %v", len(got), err)
		}
		synctest.Wait()
		if used := a.Budget.Used(); used != 0 {
			t.Errorf("%d bytes count after it", used)
		}
	})
}

// An answer that is not read is cut when the memory is full, without waiting for WriteTimeout.
func TestUnreadAnswerIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := startPiped(t)
		p, began, full := a.poll(4), time.Now(), int(a.Budget.Limit())
		p.session.write(Message(bytes.Repeat([]byte("x"), 8*piece)))
		p.asks(t)
		synctest.Wait()
		a.Budget.Add(full)
		if n := a.Budget.Relieve(); n != 1 {
			t.Errorf("%d are cut", n)
		}
		synctest.Wait()
		if reason := <-a.closed; reason != ReasonMemory || time.Since(began) > 0 {
			t.Errorf("closed after %v: %s", time.Since(began), reason)
		}
		a.Budget.Return(full)
		if used := a.Budget.Used(); used != 0 {
			t.Errorf("%d bytes count after it", used)
		}
	})
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // far below 2^63
}
