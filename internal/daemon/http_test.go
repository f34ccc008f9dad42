package daemon

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ramainen/doit-socket/internal/router"
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

// Load balancers and wget --spider use HEAD.
func TestHealthByHead(t *testing.T) {
	p := newProcess()
	for name, s := range map[string]*Server{"public": newServer(t, p.NewRouter()), "private": newServer(t, p.Admin)} {
		for _, path := range []string{"/healthz", "/readyz"} {
			answer, err := http.Head(s.URL() + path)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			if answer.StatusCode != http.StatusOK {
				t.Errorf("%s %s: %d", name, path, answer.StatusCode)
			}
		}
	}
	http.DefaultClient.CloseIdleConnections()
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
	s.Serve(r, NewLog("debug", &log), func(err error) { t.Error(err) })
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

// An address that the private listener cannot use is an error.
func TestAdminPortInUse(t *testing.T) {
	p := newProcess()
	stop, err := p.ServeAdmin(func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	taken := newServer(t, http.NotFoundHandler())
	p.Config.AdminListen = taken.Addr()
	if _, err := p.ServeAdmin(nil); err == nil || !strings.Contains(err.Error(), taken.Addr()) {
		t.Errorf("%v", err)
	}
}
