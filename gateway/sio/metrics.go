package sio

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/gateway/eio"
)

// metrics are what a gateway counts besides its hub.
type metrics struct {
	closed        *prometheus.CounterVec
	refused       *prometheus.CounterVec
	registrations *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer, g *Gateway) *metrics {
	m := &metrics{
		closed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "doit_gateway_closed_total",
			Help: "Connections that ended, by reason.",
		}, []string{"reason"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "doit_gateway_refused_total",
			Help: "Browsers that were turned away before they connected, by reason.",
		}, []string{"reason"}),
		registrations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "doit_gateway_registrations_total",
			Help: "What became of register and unregister events.",
		}, []string{"event", "result"}),
	}
	// At 0 from the start: a rate of them is known at once.
	for _, why := range eio.Refusals() {
		m.refused.WithLabelValues(string(why))
	}
	for _, why := range append(eio.Reasons(), reasonIdle, reasonKicked) {
		m.closed.WithLabelValues(string(why))
	}
	for _, event := range []string{"register", "unregister"} {
		for _, result := range []string{"ok", "refused"} {
			m.registrations.WithLabelValues(event, result)
		}
	}
	r.MustRegister(m.closed, m.refused, m.registrations,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "doit_gateway_sockets",
			Help: "Sockets that are connected, registered or not.",
		}, func() float64 { return float64(g.sockets.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "doit_gateway_sessions",
			Help: "Connections of browsers, also those that have not joined a namespace, and so are no sockets, yet.",
		}, func() float64 { return float64(g.engine.Sessions()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "doit_gateway_nameless_sockets",
			Help: "Sockets that are connected and have never registered an id: no emit reaches them. Old pages leave one behind at each reconnect.",
		}, func() float64 { return float64(g.nameless.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "doit_gateway_users",
			Help: "Distinct users with a socket on this node; each is one NATS subscription.",
		}, func() float64 { return float64(g.hub.Users()) }),
	)
	return m
}
