package daemon

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ramainen/doit-socket/internal/logging"
	"github.com/ramainen/doit-socket/internal/router"
	"github.com/ramainen/doit-socket/internal/siotest"
)

func newServer(t *testing.T, h http.Handler) *Server {
	t.Helper()
	s, err := Bind("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	s.Serve(h, slog.New(slog.DiscardHandler), func(err error) { t.Error(err) })
	return s
}

func newProcess() *Process {
	return NewProcess(Config{Node: "secret-node", AdminListen: "127.0.0.1:0", LogLevel: "error"}, io.Discard)
}

// Monitors and balancers ask by GET, HEAD (wget --spider) or OPTIONS (HAProxy by default), and get the same status, ready
// or not. Other methods are told those. No cache may keep an answer.
func TestProbes(t *testing.T) {
	p := newProcess()
	var away error
	p.Health.Check("nats", func() error { return away })
	servers := map[string]*Server{"public": newServer(t, p.NewRouter()), "private": newServer(t, p.Admin)}
	defer http.DefaultClient.CloseIdleConnections()
	for _, c := range []struct {
		path string
		away error
		want int
	}{{"/healthz", nil, 200}, {"/readyz", nil, 200}, {"/healthz", io.EOF, 200}, {"/readyz", io.EOF, 503}} {
		away = c.away
		for name, s := range servers {
			for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST", "DELETE", "PROBE"} {
				want := c.want
				if !strings.Contains(readMethods, method) {
					want = http.StatusMethodNotAllowed
				}
				answer := ask(t, method, s.URL()+c.path)
				if answer.StatusCode != want || answer.Header.Get("Allow") != "GET, HEAD, OPTIONS" || answer.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("%s: %s %s, nats %v: %d %v, want %d", name, method, c.path, c.away, answer.StatusCode, answer.Header, want)
				}
			}
		}
	}
}

func ask(t *testing.T, method, url string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer
}

// No cache may keep an answer, found or not, unless a page says that it may. Balancers that ask for a page by OPTIONS
// are told that it is there.
func TestCaches(t *testing.T) {
	p := newProcess()
	r := p.NewRouter()
	MountPages(r, map[string]http.Handler{"/page": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Cache-Control", "no-cache") })})
	public, private := newServer(t, r), newServer(t, p.Admin)
	defer http.DefaultClient.CloseIdleConnections()
	for url, want := range map[string]string{
		public.URL() + "/page": "no-cache", public.URL() + "/nothing": "no-store",
		private.URL() + "/": "no-store", private.URL() + "/metrics": "no-store", private.URL() + "/debug/pprof/": "no-store", private.URL() + "/nothing": "no-store",
	} {
		for _, method := range []string{"GET", "HEAD"} {
			if got := ask(t, method, url).Header["Cache-Control"]; !slices.Equal(got, []string{want}) {
				t.Errorf("%s %s: %q, want %q", method, url, got, want)
			}
		}
	}
	if answer := ask(t, "OPTIONS", public.URL()+"/page"); answer.StatusCode != http.StatusNoContent || answer.Header.Get("Allow") != "GET, HEAD, OPTIONS" {
		t.Errorf("OPTIONS: %d %v", answer.StatusCode, answer.Header)
	}
	for _, why := range refusals[1:] {
		answer, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(why.answer)), nil)
		if err != nil || answer.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v, %v", why.reason, answer, err)
		}
	}
}

// Pages for operators are not on the public listener.
func TestPrivateIsPrivate(t *testing.T) {
	p := newProcess()
	p.Health.Check("nats", func() error { return errors.New("secret-reason") })
	public, private := newServer(t, p.NewRouter()), newServer(t, p.Admin)
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/heap", "/"} {
		if status, body := get(t, private.URL()+path); status != 200 || body == "" {
			t.Errorf("private %s: %d", path, status)
		}
		if status, _ := get(t, public.URL()+path); status != 404 {
			t.Errorf("public %s: %d", path, status)
		}
	}
	for _, path := range []string{"/", "/metrics", "/healthz", "/readyz", "/readyz/", "/debug/pprof/"} {
		if _, body := get(t, public.URL()+path); strings.Contains(body, "secret") {
			t.Errorf("public %s says %q", path, body)
		}
	}
	if _, body := get(t, private.URL()+"/"); !strings.Contains(body, "secret-node") || !strings.Contains(body, "secret-reason") {
		t.Errorf("the status page says %q", body)
	}
}

type brokenListener struct{ net.Listener }

func (brokenListener) Accept() (net.Conn, error) { return nil, errors.New("broken") }

// Shutdown waits for the goroutine that serves, and that goroutine reports its error to fail.
func TestShutdownWaitsForServe(t *testing.T) {
	s, err := Bind("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.listener = brokenListener{s.listener}
	told, release := make(chan error), make(chan struct{})
	var ended atomic.Bool
	s.Serve(http.NotFoundHandler(), slog.New(slog.DiscardHandler), func(err error) {
		told <- err
		<-release
		ended.Store(true)
	})
	if err := <-told; !strings.Contains(err.Error(), "broken") || !strings.Contains(err.Error(), s.Addr()) {
		t.Error(err)
	}
	time.AfterFunc(20*time.Millisecond, func() { close(release) })
	s.Shutdown()
	if !ended.Load() {
		t.Error("it did not wait")
	}
}

// A request in flight is answered; a new connection is refused meanwhile.
func TestShutdownAnswersWhatIsInFlight(t *testing.T) {
	began, release := make(chan struct{}), make(chan struct{})
	s := newServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(began)
		<-release
		_, _ = io.WriteString(w, "done")
	}))
	answer := make(chan string, 1)
	go func() {
		_, body := get(t, s.URL())
		answer <- body
	}()
	<-began
	s.StopAccepting()
	if conn, err := net.Dial("tcp", s.Addr()); err == nil {
		_ = conn.Close()
		t.Error("a connection was accepted")
	}
	ended := make(chan struct{})
	go func() {
		s.Shutdown()
		close(ended)
	}()
	close(release)
	if got := <-answer; got != "done" {
		t.Errorf("answered %q", got)
	}
	<-ended
	s.Shutdown()
}

// Headers up to maxHeader are accepted; longer ones are answered with an error.
func TestHeaderSize(t *testing.T) {
	s := newServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.URL.RawQuery[:1])
	}))
	if status, body := get(t, s.URL()+"/?"+strings.Repeat("x", maxHeader-1000)); status != 200 || body != "x" {
		t.Errorf("%d %q", status, body)
	}
	if status, _ := get(t, s.URL()+"/?"+strings.Repeat("x", 2*maxHeader)); status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("too long: %d", status)
	}
}

// A panic in a handler costs its request only, and is logged without the query.
func TestAPanicCostsOneRequest(t *testing.T) {
	var log lockedBuffer
	s, err := Bind("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown()
	r := router.New()
	r.GET("/panic", func(*gin.Context) { panic("oh") })
	r.GET("/fine", func(c *gin.Context) { c.String(200, "fine") })
	s.Serve(r, logging.New("debug", &log), func(err error) { t.Error(err) })
	if answer, err := http.Get(s.URL() + "/panic?id=secret-id"); err == nil {
		_ = answer.Body.Close()
		t.Error("answered")
	}
	if status, body := get(t, s.URL()+"/fine?id=secret-id"); status != 200 || body != "fine" {
		t.Errorf("%d %q", status, body)
	}
	if text := log.String(); !strings.Contains(text, "oh") || strings.Contains(text, "secret-id") {
		t.Errorf("logged %q", text)
	}
}

func TestURL(t *testing.T) {
	for address, prefix := range map[string]string{"127.0.0.1:0": "http://127.0.0.1:", ":0": "http://127.0.0.1:", "0.0.0.0:0": "http://127.0.0.1:", "[::1]:0": "http://[::1]:"} {
		s, err := Bind(address)
		if err != nil {
			t.Logf("%s: %v", address, err) // a machine without IPv6
			continue
		}
		if !strings.HasPrefix(s.URL(), prefix) || strings.HasSuffix(s.URL(), ":0") {
			t.Errorf("%s: %s", address, s.URL())
		}
		_, port, _ := net.SplitHostPort(s.Addr())
		where, elsewhere := s.URL(), s.URL()
		if strings.HasPrefix(address, ":") || strings.HasPrefix(address, "0.") {
			where, elsewhere = "http://0.0.0.0:"+port, "http://my-server:"+port
		}
		if got, every := s.URLFor("my-server"); s.Where() != where || got != elsewhere || every != (elsewhere != s.URL()) {
			t.Errorf("%s: %s, %s", address, s.Where(), got)
		}
		s.Shutdown()
	}
}

// Wait distinguishes a signal from a failure.
func TestWait(t *testing.T) {
	p := newProcess()
	ctx, fail := context.WithCancelCause(t.Context())
	fail(io.ErrUnexpectedEOF)
	fail(nil)
	if err := p.Wait(ctx); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a failure: %v", err)
	}
	signalled, stop := context.WithCancel(t.Context())
	stop()
	ctx, fail = context.WithCancelCause(signalled)
	defer fail(nil)
	fail(io.ErrUnexpectedEOF)
	if err := p.Wait(ctx); err != nil {
		t.Errorf("a signal: %v", err)
	}
}

// The log has the address of the private listener as it is, or that there is none.
func TestPrivateListenerIsLogged(t *testing.T) {
	for address, want := range map[string]string{"127.0.0.1:0": "url=http://127.0.0.1:", ":0": "url=http://0.0.0.0:", "": "no private listener"} {
		var log lockedBuffer
		p := NewProcess(Config{AdminListen: address}, &log)
		stop, err := p.ServeAdmin(func(err error) { t.Error(err) })
		if err != nil {
			t.Fatal(err)
		}
		stop()
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q: logged %q", address, log.String())
		}
	}
}

// A handler that net/http reports for each request is reported once.
func TestServerLogFolds(t *testing.T) {
	var out siotest.Output
	s, err := Bind("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.WriteHeader(http.StatusOK)
	}), logging.New("info", &out), func(err error) { t.Error(err) })
	defer s.Shutdown()
	defer http.DefaultClient.CloseIdleConnections()
	for range 20 {
		resp, err := http.Get(s.URL())
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	if log := out.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "superfluous") {
		t.Errorf("logged %s", log)
	}
}
