package listen

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/internal/logging"
	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/siotest"
)

// What gateway/ws, gateway/relay and net/http look for in a connection.
var _ interface {
	net.Conn
	syscall.Conn
	io.ReaderFrom
	CloseWrite() error
	SetLinger(int) error
} = (*connection)(nil)

// limited serves h on a listener with limits.
func limited(t *testing.T, l connectionLimits, h http.Handler, log io.Writer) (*Listeners, *Server) {
	t.Helper()
	ls := New(Config{}, logging.New("debug", log), prometheus.NewRegistry())
	if l.heads == 0 {
		l.heads = maxHeads
	}
	ls.shared = newConnections(l, nil, ls.metrics)
	s, err := ls.Listen(Public, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	s.Serve(h, ls.log, func(err error) { t.Error(err) })
	return ls, s
}

// nothing is served with 200.
var nothing = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

// counted returns the sum of a metric's series that have a label of this value, or
// of all series.
func counted(t *testing.T, metrics prometheus.Gatherer, name, label string) (sum float64) {
	t.Helper()
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			matches := label == ""
			for _, l := range m.GetLabel() {
				matches = matches || l.GetValue() == label
			}
			if matches {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// A caller is a client on a connection of its own.
type caller struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

// call connects from a loopback address.
func call(t *testing.T, s *Server, from string) *caller {
	t.Helper()
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 0))}
	conn, err := d.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(natstest.Patience))
	return &caller{t, conn, bufio.NewReader(conn)}
}

func (c *caller) say(text string) {
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.t.Logf("write: %v", err) // a refused connection may be reset
	}
}

// answer reads an answer and its body.
func (c *caller) answer() (*http.Response, string) {
	c.t.Helper()
	answer, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil {
		c.t.Fatal(err)
	}
	return answer, string(body)
}

// get asks for a path and returns the status.
func (c *caller) get(path string) int {
	c.t.Helper()
	c.say("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n")
	answer, _ := c.answer()
	return answer.StatusCode
}

// gone waits until the server has closed the connection.
func (c *caller) gone() {
	c.t.Helper()
	if _, err := c.in.ReadByte(); err == nil {
		c.t.Error("bytes instead of the end")
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Error("it stays open")
	}
}

// awaitBusy waits until that many connections are busy, and no others are open.
func awaitBusy(t *testing.T, cs *connections, busy int) {
	t.Helper()
	natstest.Await(t, "connections to be busy", func() bool {
		cs.mu.Lock()
		defer cs.mu.Unlock()
		return cs.open == busy && cs.waitingAll() == 0
	})
}

// Connections that asked once and stay open, and ones that never ask, make room
// for others. Nothing is refused.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	ls, s := limited(t, connectionLimits{all: 16}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), io.Discard)
	var first *caller
	for i := range 40 {
		c := call(t, s, "127.0.0.1")
		if i%2 == 0 {
			if status := c.get("/"); status != 200 {
				t.Fatal(status)
			}
		}
		if i == 0 {
			first = c
		}
	}
	first.gone()
	if status := call(t, s, "127.0.0.1").get("/"); status != 200 {
		t.Error(status)
	}
	if n := counted(t, ls.metrics.registry, "doit_connections_refused_total", ""); n != 0 {
		t.Errorf("%v are refused", n)
	}
	if n := counted(t, ls.metrics.registry, "doit_connections_evicted_total", stateIdle); n == 0 {
		t.Error("no idle one is counted")
	}
	if n := counted(t, ls.metrics.registry, "doit_connections", Public); n < 1 || n > 16 {
		t.Errorf("%v are open", n)
	}
}

// If all connections are busy, a new one gets an answer that says why, and those
// that there are go on. It is logged once.
func TestRefusedConnections(t *testing.T) {
	for name, c := range map[string]struct {
		limits connectionLimits
		status int
		why    refusal
		says   string
	}{
		"in all":     {connectionLimits{all: 3}, 503, tooMany, "busy"},
		"an address": {connectionLimits{all: 100, perAddress: 3}, 429, tooManyOfAddress, "Your address"},
	} {
		t.Run(name, func(t *testing.T) {
			var log siotest.Output
			hijacked := make(chan net.Conn, 1)
			wait := make(chan struct{})
			ls, s := limited(t, c.limits, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/websocket":
					conn, _, err := w.(http.Hijacker).Hijack()
					if err != nil {
						t.Error(err)
					}
					hijacked <- conn
				case "/poll":
					<-wait
				case "/post":
					_, _ = io.Copy(io.Discard, r.Body)
				}
			}), &log)
			var busy []*caller
			for i, head := range []string{"GET /websocket HTTP/1.1\r\n", "GET /poll HTTP/1.1\r\n", "POST /post HTTP/1.1\r\nContent-Length: 3\r\n"} {
				busy = append(busy, call(t, s, "127.0.0.1"))
				busy[i].say(head + "Host: localhost\r\n\r\n")
				awaitBusy(t, ls.shared, i+1)
			}
			websocket, poll, post := busy[0], busy[1], busy[2]
			conn := <-hijacked
			defer func() { _ = conn.Close() }()
			if _, ok := conn.(*connection); !ok {
				t.Errorf("net/http hands over a %T", conn)
			}

			for range 5 {
				refused := call(t, s, "127.0.0.1")
				refused.say("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
				answer, body := refused.answer()
				if answer.StatusCode != c.status || answer.Header.Get("Retry-After") == "" || !answer.Close || !strings.Contains(body, c.says) {
					t.Errorf("%d %v %q", answer.StatusCode, answer.Header, body)
				}
				refused.gone()
			}
			if c.why == tooManyOfAddress {
				if status := call(t, s, "127.0.0.2").get("/"); status != 200 {
					t.Errorf("another address: %d", status)
				}
			}
			if n := counted(t, ls.metrics.registry, "doit_connections_refused_total", refusals[c.why].reason); n != 5 {
				t.Errorf("%v are counted", n)
			}
			if n := strings.Count(log.String(), "connections are refused"); n != 1 {
				t.Errorf("%d lines in the log: %s", n, log.String())
			}

			close(wait)
			post.say("abc")
			for _, waits := range []*caller{poll, post} {
				if answer, _ := waits.answer(); answer.StatusCode != 200 {
					t.Error(answer.StatusCode)
				}
			}
			if _, err := io.WriteString(conn, "x"); err != nil {
				t.Error(err)
			}
			if b, err := websocket.in.ReadByte(); b != 'x' {
				t.Error(err)
			}
			if status := call(t, s, "127.0.0.1").get("/"); status != 200 {
				t.Errorf("afterwards: %d", status)
			}
		})
	}
}

// However many connections there are outside, the private listener answers.
func TestPrivateListenerHasItsShare(t *testing.T) {
	hold := make(chan struct{})
	ls, s := limited(t, connectionLimits{all: 2}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hold }), io.Discard)
	defer close(hold)
	for i := range 2 {
		call(t, s, "127.0.0.1").say("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
		awaitBusy(t, ls.shared, i+1)
	}
	admin, err := ls.listen(Private, "127.0.0.1:0", newConnections(connectionLimits{all: 4, heads: maxHeads}, nil, ls.metrics))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Shutdown()
	admin.Serve(nothing, ls.log, func(err error) { t.Error(err) })
	for range 20 { // each stays open
		if status := call(t, admin, "127.0.0.1").get("/healthz"); status != 200 {
			t.Fatal(status)
		}
	}
}

// A request whose connection was closed to make room is not carried out: its
// sender sends it again.
func TestAbandonedRequest(t *testing.T) {
	handled := false
	h := boundBody(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { handled = true }))
	c := &connection{}
	r, err := http.NewRequestWithContext(remember(context.Background(), c), http.MethodGet, "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	ask := func() (aborted error) {
		defer func() { aborted, _ = recover().(error) }()
		h.ServeHTTP(nil, r)
		return nil
	}
	if aborted := ask(); aborted != nil || !handled {
		t.Errorf("an ordinary request: %v", aborted)
	}
	handled = false
	c.evicted.Store(true)
	if aborted := ask(); !errors.Is(aborted, http.ErrAbortHandler) || handled {
		t.Errorf("an abandoned request: %v, handled %v", aborted, handled)
	}
}

// Of events of one kind one a minute passes, with their number.
func TestThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var th throttle
		for i, want := range []int{1, 0, 0, 3, 0} {
			if i == 3 {
				time.Sleep(throttleInterval)
			}
			if times, ok := th.pass(time.Now()); times != want || ok != (want > 0) {
				t.Errorf("%d: %d, %v", i, times, ok)
			}
		}
	})
}

// A program whose sockets need more files than it may have says so.
func TestFilesForSockets(t *testing.T) {
	for sockets, want := range map[int]int{10: 0, 0: 0, 9_000_000: 1} {
		var log siotest.Output
		ls := New(Config{MaxConnections: 1000}, logging.New("info", &log), prometheus.NewRegistry())
		ls.LimitSockets(sockets, nil)
		if n := strings.Count(log.String(), "--max-sockets cannot be reached"); n != want {
			t.Errorf("%d sockets: %d lines: %s", sockets, n, log.String())
		}
	}
}
