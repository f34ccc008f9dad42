package daemon

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/ramainen/doit-socket/internal/listen"
)

func newServer(t *testing.T, h http.Handler) *listen.Server {
	t.Helper()
	s, err := listen.Bind("127.0.0.1:0")
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
	servers := map[string]*listen.Server{"public": newServer(t, p.NewRouter()), "private": newServer(t, p.Admin)}
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
