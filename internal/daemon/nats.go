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
	// drainTimeout bounds the draining of a NATS connection.
	drainTimeout = 5 * time.Second
	// dialTimeout bounds one attempt to connect.
	dialTimeout = 2 * time.Second
	// writeTimeout is how long a write to NATS may block before the connection is
	// closed. nats.go writes under one lock, so every emit waits for a blocked
	// write. An emit is answered 503 after a second anyway.
	writeTimeout = time.Second
)

// Connect returns a NATS connection that reconnects by itself and never gives
// up. NATS need not be reachable yet. While it is not connected, publishes fail
// at once: nats.go would otherwise buffer them and could lose them without an
// error. role says what the connection is for; it is a label in metrics. fail is
// called if the connection is closed for good: after a protocol error, or when
// the server refuses the program.
func (p *Process) Connect(url, role string, fail func(error), opts ...nats.Option) (*nats.Conn, error) {
	log := p.Log.With("connection", role)
	labels := prometheus.Labels{"connection": role}
	failures := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "doit_nats_errors_total", ConstLabels: labels,
		Help: "Errors that NATS or its client reported, by kind.",
	}, []string{"kind"})
	for _, kind := range []string{"permissions", "subscriptions", "slow consumer", "other"} {
		failures.WithLabelValues(kind)
	}
	state := newNatsState()
	opts = append([]nats.Option{
		nats.Name(p.Config.Node + " " + role),
		nats.SetCustomDialer(dialer{net.Dialer{Timeout: dialTimeout}}),
		nats.FlusherTimeout(writeTimeout),
		nats.MaxReconnects(-1),
		nats.RetryOnFailedConnect(true),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, 250*time.Millisecond),
		nats.ReconnectBufSize(-1),
		nats.PingInterval(10 * time.Second),
		nats.DrainTimeout(drainTimeout),
		nats.ConnectHandler(state.connected),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			state.server.Store(nil)
			if err != nil {
				log.Warn("nats disconnected", "error", err)
			}
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { // of each attempt; the log has one a minute
			log.Warn("NATS cannot be reached. Until it can, emits are answered 503, and registrations wait. "+
				"If this lasts, look whether it runs, and whether --nats-url is its address", "error", err)
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			state.connected(nc)
			log.Info("nats reconnected", "url", nc.ConnectedUrlRedacted())
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			failures.WithLabelValues(kind(err)).Inc()
			log.Error("nats", "error", withoutID(err))
		}),
		nats.ClosedHandler(func(nc *nats.Conn) {
			fail(fmt.Errorf("the NATS connection is closed for good: %w%s", nc.LastError(), adviceOn(nc.LastError())))
		}),
	}, opts...)
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	if nc.IsConnected() {
		<-state.known // nats.go calls ConnectHandler in a goroutine of its own
	}
	p.states[nc] = state
	p.Metrics.MustRegister(failures,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "doit_nats_connected", ConstLabels: labels,
			Help: "1 if connected to NATS, else 0.",
		}, func() float64 {
			if state.server.Load() != nil {
				return 1
			}
			return 0
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "doit_nats_reconnects_total", ConstLabels: labels,
			Help: "Reconnects to NATS.",
		}, func() float64 { return float64(state.reconnects.Load()) }),
		serverInfo{state, prometheus.NewDesc("doit_nats_server_info",
			"The NATS server that the program is connected to; the value is always 1.", []string{"server", "cluster"}, labels)},
	)
	p.Health.Fact("nats "+role, func() string { return state.String() })
	return nc, nil
}

// adviceOn returns what to do about an error for which NATS closes a connection for
// good, or "".
func adviceOn(err error) string {
	if errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) || errors.Is(err, nats.ErrAuthRevoked) {
		return "; check --nats-user and --nats-password, --nats-creds, --nats-nkey or what --nats-url contains, and the users in the configuration of NATS"
	}
	return ""
}

// kind returns the label of an error in doit_nats_errors_total.
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

// withoutID returns the text of an error without the last tokens of the subjects
// in it, which are user ids.
func withoutID(err error) string { return lastToken.ReplaceAllString(err.Error(), `"$1…"`) }

// A dialer makes connections that close themselves if a write fails. nats.go
// would drop the bytes of that write, including subscriptions, and keep the
// connection.
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

// Drain unsubscribes, sends what is queued and returns when the connection is
// closed, after drainTimeout at the latest. Unlike nats.Conn.Drain it waits.
func Drain(nc *nats.Conn) {
	nc.SetClosedHandler(nil)
	closed := nc.StatusChanged(nats.CLOSED)
	if err := nc.Drain(); err != nil {
		nc.Close() // not connected: nothing can be drained
		return
	}
	select {
	case <-closed:
	case <-time.After(drainTimeout):
		nc.Close()
	}
}
