package daemon

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	// drainTime bounds the end of a NATS connection.
	drainTime = 5 * time.Second
	// dialTime bounds one attempt to connect.
	dialTime = 2 * time.Second
	// writeTime is how long the network may refuse bytes for NATS before the
	// connection is given up. nats.go has one lock for all that is written, so
	// every emit waits as long; after a second it is answered 503 anyway.
	writeTime = time.Second
)

// Connect returns a connection that comes back by itself, however long the bus
// is away; it need not be there yet. While it is away publishes fail at once:
// nats.go would keep them and lose them with no error. role is what the
// connection is for, its label in metrics. fail is told when the connection is
// closed for good, which only a fault of ours or a refusal of the server brings about.
func (p *Process) Connect(url, role string, fail func(error), opts ...nats.Option) (*nats.Conn, error) {
	log := p.Log.With("connection", role)
	labels := prometheus.Labels{"connection": role}
	failures := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "doit_nats_errors_total", ConstLabels: labels,
		Help: "What NATS refused, or its client could not do, by kind.",
	}, []string{"kind"})
	for _, kind := range []string{"permissions", "subscriptions", "slow consumer", "other"} {
		failures.WithLabelValues(kind)
	}
	opts = append([]nats.Option{
		nats.Name(p.Config.Node + " " + role),
		nats.SetCustomDialer(dialer{net.Dialer{Timeout: dialTime}}),
		nats.FlusherTimeout(writeTime),
		nats.MaxReconnects(-1),
		nats.RetryOnFailedConnect(true),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, 250*time.Millisecond),
		nats.ReconnectBufSize(-1),
		nats.PingInterval(10 * time.Second),
		nats.DrainTimeout(drainTime),
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
			if err != nil {
				log.Warn("nats disconnected", "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) { log.Info("nats reconnected", "url", nc.ConnectedUrlRedacted()) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			failures.WithLabelValues(kind(err)).Inc()
			log.Error("nats", "error", withoutID(err))
		}),
		nats.ClosedHandler(func(nc *nats.Conn) {
			fail(fmt.Errorf("the NATS connection is closed for good: %w", nc.LastError()))
		}),
	}, opts...)
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	p.Metrics.MustRegister(failures,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "doit_nats_connected", ConstLabels: labels,
			Help: "Whether the connection to NATS is there: 1 or 0.",
		}, func() float64 {
			if nc.IsConnected() {
				return 1
			}
			return 0
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "doit_nats_reconnects_total", ConstLabels: labels,
			Help: "How often the connection to NATS came back after it was lost.",
		}, func() float64 { return float64(nc.Stats().Reconnects) }),
		whereabouts{nc, prometheus.NewDesc("doit_nats_server_info",
			"The server of NATS that the connection is to; always 1.", []string{"server", "cluster"}, labels)},
	)
	p.Health.Fact("nats "+role, func() string { return where(nc) })
	return nc, nil
}

// where says for a person which server the connection is to.
func where(nc *nats.Conn) string {
	if !nc.IsConnected() {
		return "not connected"
	}
	text := nc.ConnectedServerName()
	if url := nc.ConnectedUrlRedacted(); url != "" {
		text += " at " + url
	}
	if cluster := nc.ConnectedClusterName(); cluster != "" {
		text += ", cluster " + cluster
	}
	return text
}

// whereabouts is the metric that says it.
type whereabouts struct {
	nc   *nats.Conn
	desc *prometheus.Desc
}

func (w whereabouts) Describe(ch chan<- *prometheus.Desc) { ch <- w.desc }

func (w whereabouts) Collect(ch chan<- prometheus.Metric) {
	if w.nc.IsConnected() {
		ch <- prometheus.MustNewConstMetric(w.desc, prometheus.GaugeValue, 1, w.nc.ConnectedServerName(), w.nc.ConnectedClusterName())
	}
}

func kind(err error) string {
	switch {
	case errors.Is(err, nats.ErrPermissionViolation):
		return "permissions"
	case errors.Is(err, nats.ErrMaxSubscriptionsExceeded):
		return "subscriptions"
	case errors.Is(err, nats.ErrSlowConsumer):
		return "slow consumer"
	}
	return "other"
}

var lastToken = regexp.MustCompile(`"([^" ]*\.)[^". ]*"`)

// withoutID is the text of an error without the last token of a subject in it, which is a user's id.
func withoutID(err error) string { return lastToken.ReplaceAllString(err.Error(), `"$1…"`) }

// A dialer makes connections that end with a write that fails. nats.go would
// drop what it wanted to write, subscriptions too, and go on.
type dialer struct{ net.Dialer }

func (d dialer) Dial(network, address string) (net.Conn, error) {
	c, err := d.Dialer.Dial(network, address)
	if err != nil {
		return nil, err
	}
	return conn{c}, nil
}

type conn struct{ net.Conn }

func (c conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err != nil {
		_ = c.Close()
	}
	return n, err
}

// Drain lets go of all subscriptions, sends what is queued and returns when
// the connection is closed; nats.go's own returns before.
func Drain(nc *nats.Conn) {
	nc.SetClosedHandler(nil)
	closed := nc.StatusChanged(nats.CLOSED)
	if err := nc.Drain(); err != nil {
		nc.Close() // not connected: there is nothing to drain
		return
	}
	select {
	case <-closed:
	case <-time.After(drainTime):
		nc.Close()
	}
}

// Connected is the check that the bus is there.
func Connected(nc *nats.Conn) func() error {
	return func() error {
		if nc.IsConnected() {
			return nil
		}
		return errors.New("not connected")
	}
}
