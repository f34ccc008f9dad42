package listen

import (
	"bufio"
	"bytes"
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
	"go.uber.org/goleak"

	"github.com/ramainen/doit-socket/internal/logging"
	"github.com/ramainen/doit-socket/internal/router"
	"github.com/ramainen/doit-socket/internal/siotest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

// No cache may keep a refusal.
func TestRefusalsAreNotKept(t *testing.T) {
	for _, why := range refusals[1:] {
		answer, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(why.answer)), nil)
		if err != nil || answer.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v, %v", why.reason, answer, err)
		}
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
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
	var log siotest.Output
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

func TestAPortInUseIsSaid(t *testing.T) {
	s, err := Bind("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown()
	if _, err := Bind(s.Addr()); err == nil || !strings.Contains(err.Error(), s.Addr()) {
		t.Errorf("%v", err)
	}
}
