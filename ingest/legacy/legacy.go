// Package legacy is the HTTP API of the original server of 2014: /emit and /stat/all. It reads a request exactly as the
// original did, which used Express 4 and its parsers.
//
//	PHP ──▶ emit.go ──┬─GET──▶ query.go ───────────────────────────────────┬─▶ package publish
//	                  └─POST─▶ body.go ──▶ post.go ──┬─▶ form.go, value.go ┤
//	                                                 ├─▶ multipart.go ─────┤
//	                                                 └─▶ json.go ──────────┘
//	    ◀── OK or ERROR ◀── status.go ◀── mistake.go ◀─────────────────────── outcomes, errors
//
// The golden files of testdata hold the output of qs and querystring, the two parsers that the original used. It knew
// neither JSON nor multipart bodies.
// docs/protocol.md describes the requests and their answers. The package does not use NATS itself.
package legacy

import (
	"fmt"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/ingest/publish"
	"github.com/ramainen/doit-socket/internal/budget"
	"github.com/ramainen/doit-socket/internal/origin"
	"github.com/ramainen/doit-socket/internal/router"
)

// Config holds the flags of this package.
type Config struct {
	MaxBody int64 `default:"1048576" help:"Largest body of an emit in bytes, at most 8388608. A larger one is answered 413."`
}

// Validate returns an error that names the first invalid flag and its allowed values.
func (c Config) Validate() error {
	if c.MaxBody < 1 || c.MaxBody > publish.MaxPayload {
		return fmt.Errorf("--max-body is %d: it must be 1 to %d bytes", c.MaxBody, publish.MaxPayload)
	}
	return nil
}

// An API answers /emit and /stat/all. It is safe for concurrent use.
type API struct {
	config Config
	// Budget counts the bodies that are being read and handled; nil is no limit. It is set before Mount.
	Budget *budget.Budget
	// Local makes the API refuse what a proxy has forwarded, and what a page of another site has sent. It is set before
	// Mount, unless --open.
	Local bool
	// Origins are the sites whose pages may emit although the API is Local; nil is none. It is set before Mount.
	Origins *origin.Policy

	publisher *publish.Publisher
	log       *slog.Logger
	metrics   *metrics
	inflaters chan *inflater
}

// New returns an API that emits through p. It registers its metrics with reg.
func New(cfg Config, p *publish.Publisher, log *slog.Logger, reg prometheus.Registerer) *API {
	return &API{config: cfg, publisher: p, log: log, metrics: newMetrics(reg), inflaters: newInflaters()}
}

// Mount adds the routes of the API to r.
func (a *API) Mount(r *router.Router) {
	r.EveryMethod("/emit", a.emit)
	r.EveryMethod("/emit/", a.emit) // Express ignored a trailing slash
	r.EveryMethod("/stat/all", a.stat)
}

// stat answers with one decimal number: connected sockets plus registered ids, summed over the gateways.
func (a *API) stat(c *gin.Context) {
	sum, err := a.sum(c.Request)
	switch {
	case err != nil:
		status := a.report(c, err)
		if status == http.StatusMethodNotAllowed {
			c.Writer.Header()["Allow"] = statMethods
		}
		a.metrics.stats.WithLabelValues(strconv.Itoa(status)).Inc()
		c.String(status, "ERROR")
	case c.Request.Method == http.MethodOptions:
		c.Writer.Header()["Allow"] = statMethods
		c.Status(http.StatusNoContent)
	default:
		a.metrics.statOK.Inc()
		c.String(http.StatusOK, strconv.Itoa(sum))
	}
}

// sum returns what /stat/all answers; 0 for OPTIONS, by which some balancers ask whether a server lives.
func (a *API) sum(r *http.Request) (int, error) {
	if err := a.admit(r); err != nil {
		return 0, err
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		return 0, nil
	default:
		return 0, errStatMethod
	}
	sockets, users, err := a.publisher.Stat(r.Context())
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errStat, err)
	}
	return sockets + users, nil
}
