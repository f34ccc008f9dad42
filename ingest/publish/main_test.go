package publish

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/ramainen/doit-socket/internal/gatewaytest"
	"github.com/ramainen/doit-socket/internal/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A bench is a real nats-server and a NATS connection that acts as the gateway.
type bench struct {
	server *server.Server
	gw     *gatewaytest.Gateway
}

func newBench(t testing.TB) *bench {
	s := natstest.Start(t)
	return &bench{server: s, gw: gatewaytest.Start(t, s)}
}

// newPublisher returns a publisher on a connection with the options that the programs use.
func newPublisher(t testing.TB, url string) *Publisher {
	t.Helper()
	nc, err := nats.Connect(url, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1),
		nats.ReconnectWait(5*time.Millisecond), nats.ReconnectJitter(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return start(t, nc)
}

func start(t testing.TB, nc *nats.Conn) *Publisher {
	t.Helper()
	p := New(Config{}, nc, prometheus.NewRegistry())
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// emit publishes until the first receipt and reports whether any receiver was reached.
func emit(p *Publisher, ids []string, event, arg string) (reached bool, err error) {
	outcomes, err := p.Publish(context.Background(), Emit{To: ids, Event: event, Args: [][]byte{[]byte(arg)}}, FirstReceipt)
	return slices.ContainsFunc(outcomes, func(o Outcome) bool { return o.State == Reached }), err
}

// unavailable reports whether an error is one that /emit answers 503.
func unavailable(err error) bool {
	return errors.Is(err, ErrNotSent) || errors.Is(err, ErrUnconfirmed) || errors.Is(err, ErrUnstable)
}

// counted returns the value of a metric.
func counted(t testing.TB, c prometheus.Collector) float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(c)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families[0].GetMetric()[0].GetCounter().GetValue()
}
