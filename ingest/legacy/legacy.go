// Package legacy is the HTTP API of the original server of 2014: /emit and /stat/all. It reads a request exactly as the
// original did, which used Express 4 and its parsers.
//
//	PHP ──▶ emit.go ──▶ form.go, value.go (POST) or query.go (GET) ──▶ package publish
//	    ◀── OK or ERROR ◀── status.go ◀──────────────────────────────── outcomes, errors
//
// The golden files of testdata hold the output of qs and querystring, the two parsers that the original used.
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

	publisher *publish.Publisher
	log       *slog.Logger
	metrics   *metrics
}

// New returns an API that emits through p. It registers its metrics with reg.
func New(cfg Config, p *publish.Publisher, log *slog.Logger, reg prometheus.Registerer) *API {
	return &API{config: cfg, publisher: p, log: log, metrics: newMetrics(reg)}
}

// Mount adds the routes of the API to r.
func (a *API) Mount(r *router.Router) {
	r.EveryMethod("/emit", a.emit)
	r.EveryMethod("/emit/", a.emit) // Express ignored a trailing slash
	r.GET("/stat/all", a.stat)
}

// stat answers with one decimal number: connected sockets plus registered ids, summed over the gateways.
func (a *API) stat(c *gin.Context) {
	sockets, users, err := a.publisher.Stat(c.Request.Context())
	if err != nil {
		a.log.Debug("stat failed", "error", err) // a request must not buy a line in the log
		a.metrics.statUnknown.Inc()
		c.String(http.StatusServiceUnavailable, "ERROR")
		return
	}
	a.metrics.statOK.Inc()
	c.String(http.StatusOK, strconv.Itoa(sockets+users))
}
