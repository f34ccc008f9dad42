package daemon

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// The private listener answers by address, by localhost and by the names that
// are allowed. Other names are refused on every path.
func TestForeignHosts(t *testing.T) {
	cfg, err := parse(t, "--admin-listen", "Own-Name:1336", "--admin-open", "--admin-hosts", "gateway-1,prometheus.example")
	if err != nil {
		t.Fatal(err)
	}
	a := NewProcess(cfg, t.Output()).Admin
	ask := func(host, path string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, "http://localhost"+path, nil)
		r.Host = host
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		return w
	}
	for host, want := range map[string]int{
		"127.0.0.1": 200, "127.0.0.1:1336": 200, "10.1.2.3:1336": 200, "[::1]:1336": 200, "[::1]": 200, "[fe80::1%eth0]:1336": 200,
		"localhost": 200, "LocalHost:1336": 200, "localhost.:1336": 200,
		"gateway-1:1336": 200, "GATEWAY-1": 200, "prometheus.example.": 200, "own-name:1336": 200,
		"":                   200, // HTTP/1.0, as some health checks are
		"evil.example":       403,
		"evil.example:1336":  403,
		"gateway-2:1336":     403,
		"x.gateway-1:1336":   403,
		"127.0.0.1.evil.com": 403,
		"127.1":              403,
		"localhost.evil.com": 403,
		"localhost:1336:x":   403,
		"[evil]:1336":        403,
		":1336":              403,
	} {
		for _, path := range []string{"/", "/healthz", "/readyz", "/metrics", "/debug/pprof/heap", "/nothing"} {
			w := ask(host, path)
			if allowed := w.Code != 403; allowed != (want == 200) {
				t.Errorf("%q%s: %d", host, path, w.Code)
			}
			if w.Code == 403 && !strings.Contains(w.Body.String(), "--admin-hosts") {
				t.Errorf("%q: it does not say what to do: %q", host, w.Body)
			}
		}
	}
}

// The command line may hold passwords: no page shows it.
func TestCommandLineIsHidden(t *testing.T) {
	secret := os.Args[0]
	a := NewProcess(Config{Node: "test"}, t.Output()).Admin
	for _, path := range []string{"/debug/pprof/cmdline", "/debug/pprof/cmdline/", "/debug/pprof/Cmdline", "/debug/pprof/", "/", "/readyz", "/metrics",
		"/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?debug=1"} {
		w := httptest.NewRecorder()
		a.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost"+path, nil))
		if strings.Contains(w.Body.String(), secret) {
			t.Errorf("%s shows the command line", path)
		}
		if strings.HasPrefix(path, "/debug/pprof/c") && w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func TestBadAdminHosts(t *testing.T) {
	for _, host := range []string{"gateway-1:1336", "http://gateway-1", "a b", "gateway-1/metrics"} {
		if _, err := parse(t, "--admin-hosts", host); err == nil || !strings.Contains(err.Error(), "--admin-hosts") {
			t.Errorf("%q: %v", host, err)
		}
	}
}
