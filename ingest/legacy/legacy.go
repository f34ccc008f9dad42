// Package legacy is the face that PHP pages have known since 2014: /emit and /stat/all, with what Express and its
// parsers made of a request.
//
//	PHP ──▶ emit.go ──▶ form.go, value.go (POST) or query.go (GET) ──▶ package publish
//	    ◀── OK or ERROR ◀── status.go ◀──────────────────────────────── outcomes, errors
//
// The golden files of testdata hold what qs and querystring do, the libraries that Express used. docs/protocol.md
// describes the requests and their answers. The package knows nothing of NATS.
package legacy

import (
	"fmt"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/ingest/publish"
	"github.com/ramainen/doit-socket/internal/router"
)

// Config holds what an operator may set.
type Config struct {
	MaxBody int64 `default:"1048576" help:"Largest body of an emit in bytes, at most 8388608; what is beyond it is answered 413."`
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	if c.MaxBody < 1 || c.MaxBody > publish.MaxPayload {
		return fmt.Errorf("--max-body is %d: it must be 1 to %d bytes", c.MaxBody, publish.MaxPayload)
	}
	return nil
}

// A Face answers /emit and /stat/all. It is safe for concurrent use.
type Face struct {
	config    Config
	publisher *publish.Publisher
	log       *slog.Logger
	metrics   *metrics
}

// New returns a face that emits through p. Its metrics are registered at reg.
func New(cfg Config, p *publish.Publisher, log *slog.Logger, reg prometheus.Registerer) *Face {
	return &Face{config: cfg, publisher: p, log: log, metrics: newMetrics(reg)}
}

// Mount puts the face's routes on r.
func (f *Face) Mount(r *router.Router) {
	r.EveryMethod("/emit", f.emit)
	r.EveryMethod("/emit/", f.emit) // the router of Express took both
	r.GET("/stat/all", f.stat)
}

// stat answers with connected sockets plus distinct ids, summed over the gateways.
func (f *Face) stat(c *gin.Context) {
	sockets, users, err := f.publisher.Stat(c.Request.Context())
	if err != nil {
		f.log.Warn("stat failed", "error", err)
		c.String(http.StatusServiceUnavailable, "ERROR")
		return
	}
	c.String(http.StatusOK, strconv.Itoa(sockets+users))
}
