package legacy

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/internal/budget"
	"github.com/ramainen/doit-socket/internal/router"
)

// A body for which there is no memory is answered 503, with the time to send it again. Afterwards nothing counts.
func TestBodiesCount(t *testing.T) {
	b := newBench(t)
	b.gw.Holds("u", 1)
	api := New(Config{MaxBody: 1 << 20}, b.publisher, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	api.Budget = budget.New(1 << 20)
	routes := router.New()
	api.Mount(routes)
	post := func(size int) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, "/emit", strings.NewReader(`id=u&message=e&data="`+strings.Repeat("x", size)+`"`))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		routes.ServeHTTP(w, r)
		return w
	}
	if w := post(100_000); w.Code != http.StatusOK || w.Body.String() != "OK" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := post(500_000); w.Code != http.StatusServiceUnavailable || w.Body.String() != "ERROR" || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
	}
	if api.Budget.Used() != 0 || api.Budget.Refused() != 1 {
		t.Errorf("%d bytes count, %d refused", api.Budget.Used(), api.Budget.Refused())
	}
}
