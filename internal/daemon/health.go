package daemon

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"
)

// Health knows whether the process can do its work. It is safe for concurrent use.
type Health struct {
	mu       sync.Mutex
	stopping bool
	checks   map[string]func() error
	facts    map[string]func() string
}

// NewHealth returns a Health without checks: ready.
func NewHealth() *Health {
	return &Health{checks: make(map[string]func() error), facts: make(map[string]func() string)}
}

// Check adds a condition of readiness.
func (h *Health) Check(name string, check func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks[name] = check
}

// Stop makes the process not ready, for good: it ends.
func (h *Health) Stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopping = true
}

// Fact adds a line to the status page.
func (h *Health) Fact(name string, fact func() string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.facts[name] = fact
}

// reasons says why the process is not ready, one a line.
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

// Mount puts /healthz and /readyz on a public router: yes or no, without reasons.
func (h *Health) Mount(r gin.IRouter) {
	asked := []string{http.MethodGet, http.MethodHead} // wget --spider and many a balancer ask by HEAD
	r.Match(asked, "/healthz", gin.WrapF(alive))
	r.Match(asked, "/readyz", func(c *gin.Context) {
		if len(h.reasons()) > 0 {
			c.String(http.StatusServiceUnavailable, "not ready\n")
			return
		}
		c.String(http.StatusOK, "ready\n")
	})
}

func alive(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") }

// ready answers with what is known and, where the process is not ready, why.
func (h *Health) ready(w http.ResponseWriter, _ *http.Request) {
	answer := "ready\n"
	if reasons := h.reasons(); len(reasons) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		answer = fmt.Sprintf("not ready\n%s\n", strings.Join(reasons, "\n"))
	}
	_, _ = fmt.Fprint(w, answer, h.known())
}

// state is one line: ready, or why not.
func (h *Health) state() string {
	if reasons := h.reasons(); len(reasons) > 0 {
		return strings.Join(reasons, "; ")
	}
	return "ready"
}

// known is all facts, one a line.
func (h *Health) known() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(h.facts)) {
		fmt.Fprintf(&b, "%-12s %s\n", name, h.facts[name]())
	}
	return b.String()
}
