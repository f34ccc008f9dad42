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
	hosts  []string // by which it may be asked, besides addresses and localhost
	paths  []string // listed on the status page
}

// newAdmin returns an Admin with the pages of every program.
func newAdmin(health *Health, metrics prometheus.Gatherer, hosts []string) *Admin {
	a := &Admin{mux: http.NewServeMux(), health: health, hosts: hosts}
	a.mux.HandleFunc("GET /{$}", a.status)
	a.Mount("/metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	a.Mount("/debug/pprof/", http.HandlerFunc(pprof.Index))
	a.mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	a.mux.HandleFunc("GET /debug/pprof/cmdline", hideCommandLine)
	a.mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	a.mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	a.mount("/healthz", "/healthz", probe(alive))
	a.mount("/readyz", "/readyz", probe(health.ready))
	return a
}

// Mount serves GET requests for a path and lists it on the status page. A path
// that ends in a slash includes all paths below it. Mount must not be called
// while requests are served.
func (a *Admin) Mount(path string, h http.Handler) { a.mount("GET "+path, path, h) }

func (a *Admin) mount(pattern, path string, h http.Handler) {
	a.mux.Handle(pattern, h)
	a.paths = append(a.paths, path)
}

// ServeHTTP implements http.Handler. It answers 403 if the request names a
// foreign host. No answer may be kept by a cache.
func (a *Admin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if !allowsHost(r.Host, a.hosts) {
		refuseHost(w)
		return
	}
	a.mux.ServeHTTP(w, r)
}

// hideCommandLine answers for the command line, which net/http/pprof would show:
// it may hold passwords.
func hideCommandLine(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "the command line is not shown, because it may hold passwords; look at it on the machine, with ps", http.StatusNotFound)
}

// status serves the status page: facts, state and paths, as text.
func (a *Admin) status(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = fmt.Fprintf(w, "%s%-12s %s\n\n%s\n", a.health.factLines(), "state", a.health.summary(), strings.Join(a.paths, "  "))
}
