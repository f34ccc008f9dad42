package daemon

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"

	"github.com/ramainen/doit-socket/internal/router"
)

// Health tells whether the process is ready, and facts about it for operators. It
// is safe for concurrent use.
type Health struct {
	mu sync.Mutex
	// Guarded by mu, which is held while checks and facts are called.
	stopping bool
	checks   map[string]func() error
	facts    map[string]func() string
}

// NewHealth returns a Health without checks: the process is ready.
func NewHealth() *Health {
	return &Health{checks: make(map[string]func() error), facts: make(map[string]func() string)}
}

// Check adds a condition of readiness: the process is ready only if check
// returns nil. check must not call the Health.
func (h *Health) Check(name string, check func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks[name] = check
}

// Stop makes the process not ready for good. It is called when the process
// begins to stop.
func (h *Health) Stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopping = true
}

// Fact adds a line to the status page and the private /readyz. fact must not
// call the Health.
func (h *Health) Fact(name string, fact func() string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.facts[name] = fact
}

// reasons returns why the process is not ready, sorted. It is empty if the
// process is ready.
func (h *Health) reasons() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var reasons []string
	if h.stopping {
		reasons = append(reasons, "stopping")
	}
	for name, check := range h.checks {
		if err := check(); err != nil {
			reasons = append(reasons, fmt.Sprintf("%s: %v", name, err))
		}
	}
	slices.Sort(reasons)
	return reasons
}

// Mount adds the public /healthz and /readyz to r. They give no reasons.
func (h *Health) Mount(r *router.Router) {
	r.EveryMethod("/healthz", gin.WrapH(probe(alive)))
	r.EveryMethod("/readyz", gin.WrapH(probe(h.readyInBrief)))
}

// readMethods are the methods that pages and probes are asked by.
const readMethods = "GET, HEAD, OPTIONS"

// probe serves what monitors and balancers ask for. They use GET, HEAD (wget
// --spider) or OPTIONS (HAProxy by default), and get the same status.
func probe(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", readMethods)
		switch r.Method {
		case http.MethodGet, http.MethodHead, http.MethodOptions:
			h(w, r)
		default:
			http.Error(w, "ask by "+readMethods, http.StatusMethodNotAllowed)
		}
	})
}

// alive serves /healthz: the process is alive if it answers.
func alive(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") }

// readyInBrief serves the public /readyz: whether the process is ready.
func (h *Health) readyInBrief(w http.ResponseWriter, _ *http.Request) {
	if len(h.reasons()) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = fmt.Fprintln(w, "not ready")
		return
	}
	_, _ = fmt.Fprintln(w, "ready")
}

// ready serves the private /readyz: whether the process is ready, the reasons
// if it is not, and all facts.
func (h *Health) ready(w http.ResponseWriter, _ *http.Request) {
	answer := "ready\n"
	if reasons := h.reasons(); len(reasons) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		answer = fmt.Sprintf("not ready\n%s\n", strings.Join(reasons, "\n"))
	}
	_, _ = fmt.Fprint(w, answer, h.factLines())
}

// summary returns "ready", or why the process is not ready, in one line.
func (h *Health) summary() string {
	if reasons := h.reasons(); len(reasons) > 0 {
		return strings.Join(reasons, "; ")
	}
	return "ready"
}

// factLines returns all facts, each on its own line.
func (h *Health) factLines() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(h.facts)) {
		fmt.Fprintf(&b, "%-12s %s\n", name, h.facts[name]())
	}
	return b.String()
}
