package eio

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestPollingMessages(t *testing.T) {
	a := start(t)
	p := a.poll(4)
	waiting := p.wait()
	p.wantPost("4hello")
	wantAnswer(t, "GET", await(t, "the answer", waiting), http.StatusOK, "4hello")

	p.wantPost("4one\x1e4двa\x1e4") // and an empty message
	p.wantGet("4one\x1e4двa\x1e4")
	p.wantPost(strings.Repeat("4x\x1e", 99) + "4" + strings.Repeat("y", 100<<10)) // trap R8
	p.wantGet(strings.Repeat("4x\x1e", 99) + "4" + strings.Repeat("y", 100<<10))
}

// Messages arrive in the order of the POST; binary ones as such.
func TestPollingBinary(t *testing.T) {
	a := start(t)
	a.onMessage = func(s *Session, data []byte, binary bool) {
		s.write(Message(fmt.Appendf(nil, "%x %v", data, binary)))
	}
	p := a.poll(4)
	p.wantPost("bAQIDBA==\x1e4ab")
	p.wantGet("401020304 true\x1e46162 false")
}

func TestPollingInvalidPackets(t *testing.T) {
	for body, waits := range map[string]string{
		"abc": "1", "": "1", "\x1e4a": "1", "7": "1", "b!": "1", "bAQ": "1", "4\xff": "1", "2ping": "1",
		"4a\x1e": "4a", "4a\x1ezz": "4a", // what came before is heard
	} {
		a := start(t)
		p := a.poll(4)
		waiting := p.wait()
		got := p.post(body)
		if got.status != http.StatusBadRequest {
			t.Errorf("%q: %v", body, got)
		}
		a.wantClose(ReasonProtocol)
		wantAnswer(t, "the GET that waited", await(t, "it", waiting), http.StatusOK, waits)
		p.wantGone()
	}
}

func TestPollingClosedByBrowser(t *testing.T) {
	a := start(t)
	p := a.poll(4)
	waiting := p.wait()
	p.wantPost("1")
	wantAnswer(t, "the waiting GET", await(t, "it", waiting), http.StatusOK, "6")
	a.wantClose(ReasonClient)
	p.wantGone()
}

// A GET that arrives after the browser's close packet is answered: one, and only
// within latePoll.
func TestPollingCloseOvertakesPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := startPiped(t)
		p := a.poll(4)
		p.wantPost("1")
		a.wantClose(ReasonClient)
		if got := p.post("4x"); got.status != http.StatusBadRequest {
			t.Errorf("POST after the close: %v", got)
		}
		p.wantGet("6")
		p.wantGone()

		p = a.poll(4)
		p.wantPost("1")
		time.Sleep(latePoll)
		synctest.Wait()
		p.wantGone()
	})
}

func TestPollingClosedByServer(t *testing.T) {
	a := start(t)
	p := a.poll(4)
	waiting := p.wait()
	p.session.Close("ours")
	wantAnswer(t, "the waiting GET", await(t, "it", waiting), http.StatusOK, "1")
	a.wantClose("ours")
	p.wantGone()
	if p.session.Send(Message([]byte("x"))) {
		t.Error("a closed session took a message")
	}
}

// Two GETs at a time end the session.
func TestPollingTwoGETs(t *testing.T) {
	a := start(t)
	p := a.poll(4)
	waiting := p.wait()
	if got := p.get(); got.status != http.StatusBadRequest {
		t.Errorf("second GET: %v", got)
	}
	wantAnswer(t, "first GET", await(t, "it", waiting), http.StatusOK, "1")
	a.wantClose(ReasonProtocol)
	p.wantGone()
}

// Two POSTs at a time end the session.
func TestPollingTwoPOSTs(t *testing.T) {
	a := start(t)
	p := a.poll(4)
	body, half := io.Pipe()
	first := later(func() answer { return p.do(http.MethodPost, body) })
	_, _ = half.Write([]byte("4a"))
	until(t, "the POST to begin", func() bool {
		p.session.mu.Lock()
		defer p.session.mu.Unlock()
		return p.session.poll.posting
	})
	if got := p.post("4b"); got.status != http.StatusBadRequest {
		t.Errorf("second POST: %v", got)
	}
	a.wantClose(ReasonProtocol)
	_ = half.Close()
	if got := await(t, "first POST", first); got.status != http.StatusBadRequest {
		t.Errorf("first POST: %v", got)
	}
}

// A poll that breaks off ends the session: no other request gets its answer (trap R13).
func TestPollingCancelledGET(t *testing.T) {
	a := start(t)
	p := a.poll(4)
	ctx, cancel := context.WithCancel(context.Background())
	transport := p.http.Transport
	p.http.Transport = roundTripper(func(r *http.Request) (*http.Response, error) { return transport.RoundTrip(r.WithContext(ctx)) })
	waiting := p.wait()
	cancel()
	a.wantClose(ReasonNetwork)
	if got := await(t, "the GET", waiting); got.status != 0 {
		t.Errorf("got %v", got)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A POST beyond MaxPayload is refused, also without a Content-Length (trap M1).
func TestPollingTooLarge(t *testing.T) {
	for name, body := range map[string]io.Reader{
		"with a length":    strings.NewReader("4" + strings.Repeat("x", 1000)),
		"in chunks":        io.MultiReader(strings.NewReader("4"), strings.NewReader(strings.Repeat("x", 1000))),
		"in endless ones":  io.MultiReader(strings.NewReader("4"), endless{}),
		"in many messages": strings.NewReader(strings.Repeat("4\x1e", 501)),
	} {
		t.Run(name, func(t *testing.T) {
			a := start(t, func(c *config) { c.MaxPayload = 1000 })
			p := a.poll(4)
			// Where the body goes on for ever the answer may be lost with the connection.
			if got := p.do(http.MethodPost, body); got.status != http.StatusRequestEntityTooLarge && (got.status != 0 || name != "in endless ones") {
				t.Errorf("%v", got)
			}
			a.wantClose(ReasonTooLarge)
			p.wantGone()
		})
	}
	a := start(t, func(c *config) { c.MaxPayload = 1000 })
	p := a.poll(4)
	p.wantPost("4" + strings.Repeat("x", 999))
	p.wantGet("4" + strings.Repeat("x", 999))
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// The wait for a body is bounded.
func TestPollingSlowPOST(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := startPiped(t)
		p := a.poll(4)
		began := time.Now()
		body, half := io.Pipe()
		defer func() { _ = half.Close() }()
		result := later(func() answer { return p.do(http.MethodPost, body) })
		if reason := <-a.closed; reason != ReasonNetwork || time.Since(began) != bodyTimeout {
			t.Errorf("closed after %v: %s", time.Since(began), reason)
		}
		<-result
	})
}

// The write deadline of one answer does not apply to a later one on the same connection.
func TestPollingWriteDeadlineIsReset(t *testing.T) {
	a := start(t, func(c *config) {
		c.WriteTimeout = 100 * time.Millisecond
		c.PingInterval, c.PingTimeout = 300*time.Millisecond, patience
	})
	var dials atomic.Int32
	dial := a.dial
	a.dial = func() (net.Conn, error) {
		dials.Add(1)
		return dial()
	}
	clock := a.socket(4)
	p := a.poll(4)
	clock.want("2")
	p.wantPost("4x")
	if n := dials.Load(); n != 2 {
		t.Errorf("%d connections; the test needs one for polling", n-1)
	}
}
