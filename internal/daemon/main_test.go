package daemon

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// The first argument names a command; without one the program serves.
func TestCommands(t *testing.T) {
	var ran string
	var with []string
	note := func(name string) Run {
		return func(_ context.Context, args []string, _, _ io.Writer) error {
			ran, with = name, args
			return nil
		}
	}
	all := commands(note("serve"), []Command{{"doctor", note("doctor")}})
	for _, c := range []struct {
		args []string
		ran  string
		with []string
	}{
		{nil, "serve", nil},
		{[]string{"--listen", "x"}, "serve", []string{"--listen", "x"}},
		{[]string{"serve", "--listen", "x"}, "serve", []string{"--listen", "x"}},
		{[]string{"healthcheck", "--admin-listen", "x"}, "serve", []string{"--healthcheck", "--admin-listen", "x"}},
		{[]string{"doctor", "serve"}, "doctor", []string{"serve"}},
	} {
		run, args, err := choose(c.args, all)
		if err != nil {
			t.Errorf("%q: %v", c.args, err)
			continue
		}
		if err := run(t.Context(), args, io.Discard, io.Discard); err != nil || ran != c.ran || !slices.Equal(with, c.with) {
			t.Errorf("%q: %s with %q, %v", c.args, ran, with, err)
		}
	}
	_, _, err := choose([]string{"doctr"}, all)
	if !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), `"doctr"`) || !strings.Contains(err.Error(), "serve, healthcheck, doctor") {
		t.Errorf("an unknown command: %v", err)
	}
}

// A package's page is served on the private listener, by GET, and the status page names it.
func TestAdminMount(t *testing.T) {
	a := newAdmin(NewHealth(), prometheus.NewRegistry(), nil)
	a.Mount("/sockets", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") }))
	ask := func(method, path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		a.ServeHTTP(w, httptest.NewRequest(method, "http://localhost"+path, nil))
		return w
	}
	if got := ask(http.MethodGet, "/sockets"); got.Body.String() != "here" {
		t.Errorf("%d %q", got.Code, got.Body)
	}
	if got := ask(http.MethodPost, "/sockets"); got.Code != http.StatusMethodNotAllowed {
		t.Errorf("by POST: %d", got.Code)
	}
	if got := ask(http.MethodGet, "/").Body.String(); !strings.Contains(got, "/metrics  /debug/pprof/  /healthz  /readyz  /sockets\n") {
		t.Errorf("the status page: %q", got)
	}
}
