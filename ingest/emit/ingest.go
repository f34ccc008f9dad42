// Package emit turns an HTTP request into messages on the bus and says what
// became of them.
//
//	PHP ──▶ handler.go ──▶ form.go (POST), query.go (GET) ──▶ receipts.go ──▶ NATS user.<id>
//	                                                                 ◀── receipts of the gateways
//
// Where no other node could have sockets, local.go is all the way there is.
package emit

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/internal/wire"
)

// MaxMaxBody is the largest value of Config.MaxBody: above it NATS warns.
const MaxMaxBody = 8 << 20

// Config holds what an operator may set of an ingest.
type Config struct {
	MaxBody int64 `default:"1048576" help:"Largest body of an emit in bytes, at most 8388608; what is beyond it is answered 413."`
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	if c.MaxBody < 1 || c.MaxBody > MaxMaxBody {
		return fmt.Errorf("--max-body is %d: it must be 1 to %d bytes", c.MaxBody, MaxMaxBody)
	}
	return nil
}

// An Ingest publishes emits. It is safe for concurrent use.
type Ingest struct {
	Config
	// Local is the gateway of the same process, if there is one. It is set
	// before Mount and not changed.
	Local Local

	nc       *nats.Conn
	receipts *receipts
	metrics  *metrics
	log      *slog.Logger

	mu sync.Mutex
	// Guarded by mu.
	joined time.Time // when an emit last found other nodes
}

// New returns an ingest that publishes on nc.
func New(cfg Config, nc *nats.Conn, log *slog.Logger, reg prometheus.Registerer) (*Ingest, error) {
	in := &Ingest{Config: cfg, nc: nc, log: log, metrics: newMetrics(reg)}
	var err error
	if in.receipts, err = newReceipts(nc, in.metrics); err != nil {
		return nil, fmt.Errorf("subscribe to receipts: %w", err)
	}
	watchBacklog(reg, in.receipts.sub)
	return in, nil
}

// Mount puts the ingest's routes on r.
func (in *Ingest) Mount(r gin.IRouter) {
	// Not Any: gin would answer a method that it does not know, in its own words.
	r.Use(func(c *gin.Context) {
		switch c.Request.URL.Path {
		case "/emit", "/emit/": // the original's router took both
			in.handle(c)
			c.Abort()
		}
	})
	r.GET("/stat/all", in.handleStat)
}

// Close gives up the subscription to receipts. Requests in flight are answered 503.
func (in *Ingest) Close() { in.receipts.close() }

// Errors of an emit besides those of package wire.
var (
	errMethod      = errors.New("emit takes GET and POST")
	errTooLarge    = errors.New("the emit is too large")
	errBody        = errors.New("the body did not arrive whole")
	errReceivers   = fmt.Errorf("an emit names at most %d receivers", wire.MaxReceivers)
	errUnconfirmed = errors.New("the bus did not confirm the emit in time")
	errUnsettled   = errors.New("a server of the bus was lost a moment ago, and gateways may not be back")
)

// status is the one table from error to HTTP status. No receiver, and no event
// that could be received, is no fault: the original answered 200 and ERROR.
func status(err error) int {
	switch {
	case err == nil, errors.Is(err, wire.ErrEvent):
		return http.StatusOK
	case errors.Is(err, errMethod):
		return http.StatusMethodNotAllowed
	case errors.Is(err, errTooLarge), errors.Is(err, nats.ErrMaxPayload):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, wire.ErrID), errors.Is(err, wire.ErrData), errors.Is(err, errBody), errors.Is(err, errReceivers), errors.Is(err, errTooManyParameters):
		return http.StatusBadRequest
	}
	return http.StatusServiceUnavailable
}

func (in *Ingest) answer(c *gin.Context, reached bool, err error) {
	code, body := status(err), "ERROR"
	if err == nil && reached {
		body = "OK"
	}
	if err != nil {
		in.log.Debug("emit refused", "status", code, "error", err)
	}
	in.metrics.answered(code, body)
	c.Writer.Header()["Content-Type"] = plainText
	c.Status(code)
	_, _ = c.Writer.WriteString(body)
}

var plainText = []string{"text/plain; charset=utf-8"}

// statStall is how long the last gateway that answers may be behind the one before it.
const statStall = 100 * time.Millisecond

// handleStat answers with connected sockets plus distinct ids, summed over the nodes.
func (in *Ingest) handleStat(c *gin.Context) {
	total, err := in.stat()
	if err != nil {
		in.log.Warn("stat failed", "error", err)
		c.String(http.StatusServiceUnavailable, "ERROR")
		return
	}
	c.String(http.StatusOK, strconv.Itoa(total))
}

func (in *Ingest) stat() (total int, err error) {
	inbox := in.nc.NewInbox()
	sub, err := in.nc.SubscribeSync(inbox)
	if err != nil {
		return 0, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := in.nc.PublishRequest(wire.SubjectStat, inbox, nil); err != nil {
		return 0, err
	}
	for wait := in.receipts.bound; ; wait = statStall {
		m, err := sub.NextMsg(wait)
		switch {
		case errors.Is(err, nats.ErrNoResponders), errors.Is(err, nats.ErrTimeout) && wait == statStall:
			if !in.receipts.bus.settled() {
				return 0, errUnsettled
			}
			return total, nil
		case err != nil:
			return 0, err
		}
		stat, err := wire.ParseStat(m.Data)
		if err != nil {
			return 0, err
		}
		total += stat.Sockets + stat.Users
	}
}
