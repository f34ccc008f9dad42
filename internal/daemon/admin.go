package daemon

import (
	"fmt"
	"net/http"
	"net/http/pprof"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Admin is the handler of the private listener. Packages mount their pages on it
// before [Process.ServeAdmin].
type Admin struct {
	mux    *http.ServeMux
	health *Health
	paths  []string // listed on the status page
}

// newAdmin returns an Admin with the pages of every program.
func newAdmin(health *Health, metrics prometheus.Gatherer) *Admin {
	a := &Admin{mux: http.NewServeMux(), health: health}
	a.mux.HandleFunc("GET /{$}", a.status)
	a.Mount("/metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	a.Mount("/debug/pprof/", http.HandlerFunc(pprof.Index))
	a.mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	a.mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	a.mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	a.mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	a.Mount("/healthz", http.HandlerFunc(alive))
	a.Mount("/readyz", http.HandlerFunc(health.ready))
	return a
}

// Mount serves GET requests for a path and lists it on the status page. A path
// that ends in a slash includes all paths below it. Mount must not be called
// while requests are served.
func (a *Admin) Mount(path string, h http.Handler) {
	a.mux.Handle("GET "+path, h)
	a.paths = append(a.paths, path)
}

// ServeHTTP implements http.Handler.
func (a *Admin) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// status serves the status page: facts, state and paths, as text.
func (a *Admin) status(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = fmt.Fprintf(w, "%s%-12s %s\n\n%s\n", a.health.factLines(), "state", a.health.summary(), strings.Join(a.paths, "  "))
}
