package eio

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
)

// Attacks that no other test covers; docs/attacks.md lists all.

// A stranger is a raw connection that need not follow any protocol.
type stranger struct {
	net.Conn
	in *bufio.Reader
}

func (a *app) stranger() (*stranger, error) {
	conn, err := a.dial()
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	return &stranger{conn, bufio.NewReader(conn)}, nil
}

// say sends bytes in two pieces.
func (s *stranger) say(b []byte, cut int) {
	cut %= len(b) + 1
	_, _ = s.Write(b[:cut])
	_, _ = s.Write(b[cut:])
}

// ask sends a request and returns the answer.
func (s *stranger) ask(method, query, body string) (int, string, error) {
	s.say(fmt.Appendf(nil, "%s /socket.io/?%s HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n%s", method, query, len(body), body), 0)
	return s.answer()
}

func (s *stranger) answer() (int, string, error) {
	resp, err := http.ReadResponse(s.in, nil)
	if err != nil {
		return 0, "", err
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return resp.StatusCode, "", nil
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// want checks which websocket messages come next; "" is the open packet.
func (s *stranger) want(packets ...string) error {
	for _, want := range packets {
		f, err := ws.ReadFrame(s.in)
		if err != nil {
			return fmt.Errorf("instead of %q: %w", want, err)
		}
		if got := string(f.Payload); got != want && (want != "" || got[0] != packetOpen) {
			return fmt.Errorf("got %q, want %q", got, want)
		}
	}
	return nil
}

// reset ends the connection by a TCP reset.
func (s *stranger) reset() {
	_ = s.Conn.(*net.TCPConn).SetLinger(0)
	_ = s.Close()
}

func handshake(query string) []byte {
	return []byte("GET /socket.io/?" + query + "&transport=websocket HTTP/1.1\r\n" + websocketHeaders)
}

// sid is the session id in an open packet.
func sid(open string) string {
	_, id, _ := strings.Cut(open, `"sid":"`)
	id, _, _ = strings.Cut(id, `"`)
	return id
}

// hammer calls f many times, several at a time, and reports errors.
func hammer(t *testing.T, tries int, f func(i int) error) {
	t.Helper()
	var next atomic.Int64
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := int(next.Add(1)); i <= tries && !t.Failed(); i = int(next.Add(1)) {
				if err := f(i); err != nil {
					t.Errorf("try %d: %v", i, err)
				}
			}
		})
	}
	all.Wait()
}

// wantEmpty waits until no session is left; each that was told open was told closed.
func (a *app) wantEmpty() {
	a.t.Helper()
	until(a.t, "the sessions to end", func() bool { return a.Sessions() == 0 && len(a.closed) == len(a.opened) })
}

// Frames that arrive before the session is open, a pong among them, are handled
// once it is. A connection that is reset meanwhile leaves no session (traps K3,
// R2, R5).
func TestEarlyFramesHammered(t *testing.T) {
	a := start(t)
	hammer(t, 3000, func(i int) error {
		s, err := a.stranger()
		if err != nil {
			return err
		}
		defer func() { _ = s.Close() }()
		request := handshake("EIO=4")
		all := bytes.Join([][]byte{request, text("3"), text("4early")}, nil)
		if i%3 == 0 {
			s.say(all[:len(request)+i%(len(all)-len(request))], i)
			s.reset()
			return nil
		}
		s.say(all, len(request)-2+i%40)
		if status, _, err := s.answer(); status != http.StatusSwitchingProtocols {
			return fmt.Errorf("%d, %w", status, err)
		}
		return s.want("", "4early")
	})
	a.wantEmpty()
}

// An upgrade is not lost if its frames arrive before its handshake is done
// (trap R10).
func TestEarlyUpgradesHammered(t *testing.T) {
	a := start(t)
	hammer(t, 700, func(i int) error {
		polling, err := a.stranger()
		if err != nil {
			return err
		}
		defer func() { _ = polling.Close() }()
		s, err := a.stranger()
		if err != nil {
			return err
		}
		defer func() { _ = s.Close() }()
		query := fmt.Sprintf("EIO=%d", 3+i%2)
		_, open, err := polling.ask("GET", query+"&transport=polling&b64=1", "")
		if err != nil {
			return err
		}
		request := handshake(query + "&sid=" + sid(open))
		s.say(bytes.Join([][]byte{request, text("2probe"), text("5"), text("4early")}, nil), len(request)-2+i%40)
		if status, _, err := s.answer(); status != http.StatusSwitchingProtocols {
			return fmt.Errorf("%d, %w", status, err)
		}
		return s.want("3probe", "4early")
	})
	a.wantEmpty()
}

// A message that is sent just when releasePoll answers the GET comes with that
// GET or the next, and blocks nothing (trap R9).
func TestPauseAgainstMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := startPiped(t)
		p := a.poll(4)
		p.probed()
		for range 50 {
			began := time.Now()
			waiting := p.wait()
			time.Sleep(time.Until(began.Add(latePoll)))
			p.session.write(Message([]byte("x")))
			switch got := await(t, "the GET", waiting); got.body {
			case "4x":
			case "6":
				p.wantGet("4x")
			default:
				t.Fatalf("got %v", got)
			}
		}
	})
}

// A session that closes at any stage of its upgrade ends both connections and is
// closed once (traps K4, R7, R9).
func TestUpgradeAgainstEverything(t *testing.T) {
	a := start(t)
	frames := [][]byte{nil, text("2probe"), text("5"), append(text("2probe"), text("5")...), append(append(text("2probe"), text("5")...), text("4x")...), text("2probe")[:4]}
	hammer(t, 900, func(i int) error {
		var conns [3]*stranger // one opens and posts, one polls, one upgrades
		for j := range conns {
			s, err := a.stranger()
			if err != nil {
				return err
			}
			defer func() { _ = s.Close() }()
			conns[j] = s
		}
		query := fmt.Sprintf("EIO=%d", 3+i%2)
		_, open, err := conns[0].ask("GET", query+"&transport=polling&b64=1", "")
		if err != nil {
			return err
		}
		id := sid(open)
		query += "&sid=" + id
		session := a.sessions.get(id)
		polled := later(func() error {
			_, _, err := conns[1].ask("GET", query+"&transport=polling", "")
			return err
		})
		upgraded := later(func() error {
			conns[2].say(append(handshake(query), frames[i%len(frames)]...), i)
			if status, _, err := conns[2].answer(); status != http.StatusSwitchingProtocols {
				return err
			}
			for {
				if f, err := ws.ReadFrame(conns[2].in); err != nil || f.Header.OpCode == ws.OpClose {
					return err
				}
			}
		})
		switch i % 5 {
		case 0:
			session.Close("ours")
		case 1:
			_, _, _ = conns[0].ask("POST", query+"&transport=polling", map[int]string{0: "1:1", 1: "1"}[i%2])
		case 2:
			conns[1].reset()
		case 3:
			conns[2].reset()
		case 4:
			session.Finish(Message([]byte("last")), "ours")
			session.write(Message([]byte("too late")))
		}
		session.Close("the end of the try")
		for what, end := range map[string]<-chan error{"poll": polled, "websocket": upgraded} {
			select {
			case err := <-end:
				if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
					return fmt.Errorf("the %s does not end", what)
				}
			case <-time.After(2 * patience):
				return fmt.Errorf("the %s does not end", what)
			}
		}
		return nil
	})
	a.wantEmpty()
}

// A websocket whose probe was answered cannot take over a session that has
// closed since, and its connection ends (trap K4).
func TestUpgradeAfterClose(t *testing.T) {
	a := start(t)
	p := a.poll(4)
	w := p.probed()
	p.wantGet("6") // the probe has been dealt with
	p.session.Close("ours")
	if op, payload := w.receive(); op != ws.OpClose {
		t.Fatalf("got %v %q", op, payload)
	}
	w.send("5")
	w.wantEnd()
	a.wantClose("ours")
}

// The answer to a poll that breaks off goes to no other request (trap R13).
func TestPollsThatBreakOff(t *testing.T) {
	a := start(t)
	witness := a.poll(4)
	done := make(chan struct{})
	watched := later(func() error {
		for i := 0; ; i++ {
			select {
			case <-done:
				return nil
			default:
			}
			want := fmt.Sprintf("4only for the witness, %d", i)
			witness.session.write(Message([]byte(want[1:])))
			if got := witness.get(); got.body != want {
				return fmt.Errorf("the witness got %v, want %q", got, want)
			}
		}
	})
	hammer(t, 700, func(i int) error {
		s, err := a.stranger()
		if err != nil {
			return err
		}
		_, open, err := s.ask("GET", "EIO=4&transport=polling", "")
		if err != nil {
			return err
		}
		session := a.sessions.get(sid(open))
		s.say([]byte("GET /socket.io/?EIO=4&transport=polling&sid="+sid(open)+" HTTP/1.1\r\nHost: test\r\n\r\n"), 0)
		wrote := later(func() bool {
			for range i % 20 {
				runtime.Gosched()
			}
			session.write(Message([]byte(strings.Repeat("of the stranger", 1<<(i%14)))))
			return true
		})
		s.reset()
		<-wrote
		session.Close("ours")
		return nil
	})
	close(done)
	if err := await(t, "the witness", watched); err != nil {
		t.Error(err)
	}
}

// The connection of a refused websocket handshake is closed. net/http has handed
// it over, so it would otherwise stay open until it is garbage collected.
func TestRefusedWebsocketEnds(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	a := start(t)
	p := a.poll(4)
	for _, query := range []string{"EIO=4", strings.Replace(p.query, "&transport=polling", "", 1)} {
		s, err := a.stranger()
		if err != nil {
			t.Fatal(err)
		}
		s.say(bytes.Replace(handshake(query), []byte("Version: 13"), []byte("Version: 8"), 1), 0)
		if all, err := io.ReadAll(s.in); err != nil || !bytes.HasPrefix(all, []byte("HTTP/1.1 426")) {
			t.Errorf("%s: got %.40q, and then %v", query, all, err)
		}
		_ = s.Close()
	}
}

// A websocket handshake ends, too, if the browser does not read its answer.
func TestHandshakeUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := startPiped(t) // a pipe takes nothing that is not read
		s, err := a.stranger()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		_ = s.SetDeadline(time.Now().Add(time.Hour))
		began := time.Now()
		s.say(handshake("EIO=4"), 0)
		_, err = s.Write([]byte("x"))
		for err == nil { // until it is closed; net/http takes a byte ahead
			_, err = s.Write([]byte("x"))
		}
		if !errors.Is(err, io.ErrClosedPipe) || time.Since(began) > upgradeTimeout {
			t.Errorf("ended after %v: %v", time.Since(began), err)
		}
	})
}

// The wait for a body is bounded, also if no handler reads it.
func TestBodyThatNeverComes(t *testing.T) {
	const endless = "\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
	const large = "\r\nHost: test\r\nContent-Length: 1000\r\n\r\n"
	for name, request := range map[string]string{
		"unknown session":          "POST /socket.io/?EIO=4&transport=polling&sid=unknown HTTP/1.1" + large,
		"unknown session, chunked": "POST /socket.io/?EIO=4&transport=polling&sid=unknown HTTP/1.1" + endless,
		"asked to go on":           "POST /socket.io/?EIO=4&transport=polling&sid=unknown HTTP/1.1\r\nExpect: 100-continue" + large,
		"no query":                 "POST /socket.io/ HTTP/1.1" + large,
		"handshake":                "GET /socket.io/?EIO=4&transport=polling HTTP/1.1" + large,
		"preflight":                "OPTIONS /socket.io/ HTTP/1.1" + large,
		"PUT":                      "PUT /socket.io/?EIO=4&transport=polling HTTP/1.1" + endless,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := startPiped(t)
				s, err := a.stranger()
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = s.Close() }()
				_ = s.SetDeadline(time.Now().Add(time.Hour))
				began := time.Now()
				s.say([]byte(request), 0)
				if _, err := io.Copy(io.Discard, s.in); err != nil || time.Since(began) > bodyTimeout+time.Second {
					t.Errorf("ended after %v: %v", time.Since(began), err)
				}
			})
		})
	}
}

// A session takes no more memory after a burst than before (trap M5).
func TestIdleHoldsNoBurst(t *testing.T) {
	a := start(t, func(c *config) { c.QueueBytes = 1 << 30 })
	var held atomic.Int32
	burst := func(s *Session) {
		for range 30 {
			f := Message(bytes.Repeat([]byte("x"), 1<<20))
			held.Add(1)
			runtime.AddCleanup(&f.wire[0], func(int) { held.Add(-1) }, 0)
			s.write(f)
		}
	}
	w, p := a.socket(4), a.poll(4)
	burst(w.session)
	burst(p.session)
	for range 30 {
		w.receive()
	}
	if got := p.get(); len(got.body) < 30<<20 {
		t.Errorf("%d bytes", len(got.body))
	}
	until(t, "the burst to be freed", func() bool {
		runtime.GC()
		return held.Load() == 0
	})
	if a.Sessions() != 2 {
		t.Error("the sessions are gone")
	}
}

// Nothing is compressed, whatever the browser offers (traps M6, M7).
func TestNothingIsCompressed(t *testing.T) {
	a := start(t)
	p := a.poll(4)
	long := strings.Repeat("x", 64<<10)
	p.session.write(Message([]byte(long)))
	got := p.request("GET", "", "Accept-Encoding", "gzip, deflate, br, zstd")
	wantAnswer(t, "GET", got, http.StatusOK, "4"+long)
	if encoding := got.header.Get("Content-Encoding"); encoding != "" {
		t.Errorf("Content-Encoding %q", encoding)
	}

	s, err := a.stranger()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	s.say(bytes.Replace(handshake("EIO=4"), []byte("\r\nHost"), []byte("\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nHost"), 1), 0)
	resp, err := http.ReadResponse(s.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if extensions := resp.Header.Get("Sec-WebSocket-Extensions"); resp.StatusCode != http.StatusSwitchingProtocols || extensions != "" {
		t.Errorf("%s, extensions %q", resp.Status, extensions)
	}
}

// The limits of the queue include unread answers to pings (trap M2).
func TestPingsUnread(t *testing.T) {
	for name, ping := range map[string][]byte{
		"EIO 3":     text("2" + strings.Repeat("x", 10_000)),
		"websocket": masked(ws.OpPing, true, bytes.Repeat([]byte("x"), 125)),
	} {
		t.Run(name, func(t *testing.T) {
			a := start(t, func(c *config) { c.QueueLength = 16 })
			w := a.socket(3)
			pings := bytes.Repeat(ping, 100)
			sent := later(func() bool {
				for {
					if _, err := w.conn.Write(pings); err != nil {
						return true
					}
				}
			})
			a.wantClose(ReasonSlow)
			_ = w.conn.Close()
			await(t, "the pings to end", sent)
			w.wantNothingKept()
		})
	}
}

// The kernel does not keep a slow browser's unsent bytes for minutes.
func TestSlowReaderIsReset(t *testing.T) {
	a := start(t)
	w := a.socket(4)
	w.jam()
	a.wantClose(ReasonSlow)
	if _, err := io.Copy(io.Discard, w.conn); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("ended with %v", err)
	}
}

// A poll whose answer is not read is closed (trap M2).
func TestPollUnread(t *testing.T) {
	a := start(t, func(c *config) { c.WriteTimeout = 100 * time.Millisecond })
	p := a.poll(4)
	p.session.write(Message(bytes.Repeat([]byte("x"), 32<<20))) // more than the kernel takes
	s, err := a.stranger()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	s.say([]byte("GET /socket.io/?"+p.query+" HTTP/1.1\r\nHost: test\r\n\r\n"), 0)
	a.wantClose(ReasonSlow)
}

// Messages from a browser start no goroutine besides the one that reads them (trap M8).
func TestMessagesStartNoGoroutines(t *testing.T) {
	a := start(t)
	const sockets, each = 20, 200
	var most atomic.Int64
	var heard sync.WaitGroup
	heard.Add(sockets * each)
	a.onMessage = func(*Session, []byte, bool) {
		defer heard.Done()
		for n := int64(runtime.NumGoroutine()); ; {
			if before := most.Load(); n <= before || most.CompareAndSwap(before, n) {
				return
			}
		}
	}
	all := make([]*socket, sockets)
	for i := range all {
		all[i] = a.socket(4)
	}
	before := int64(runtime.NumGoroutine())
	for _, w := range all {
		w.raw(bytes.Repeat(text("4x"), each))
	}
	heard.Wait()
	if n := most.Load(); n > before+sockets+sockets/2 {
		t.Errorf("%d goroutines, %d before the messages", n, before)
	}
}
