package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/gateway/eio"
)

// metrics are the gateway's metrics besides those of its parts.
// docs/operations.md lists them.
type metrics struct {
	refusals *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer, n *Node) *metrics {
	m := &metrics{refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "doit_gateway_refused_total",
		Help: "Browsers that were turned away before they connected, by reason.",
	}, []string{"reason"})}
	for _, why := range eio.Refusals() { // every series starts at 0, so that rate() sees its first increase
		m.refusals.WithLabelValues(string(why))
	}
	r.MustRegister(m.refusals,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "doit_gateway_sessions",
			Help: "Connections of browsers, including those that have not joined a namespace and so are not sockets yet.",
		}, func() float64 { return float64(n.engine.Sessions()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "doit_gateway_users",
			Help: "Distinct users with a socket on this node; each is one NATS subscription.",
		}, func() float64 { return float64(n.hub.Users()) }),
	)
	return m
}

// refused counts a browser that was turned away.
func (m *metrics) refused(why eio.Refusal) { m.refusals.WithLabelValues(string(why)).Inc() }
