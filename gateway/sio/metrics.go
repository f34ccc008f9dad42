package sio

import "github.com/prometheus/client_golang/prometheus"

// metrics are what a gateway counts besides its hub.
type metrics struct {
	closed        *prometheus.CounterVec
	registrations *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer, g *Gateway) *metrics {
	m := &metrics{
		closed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "doit_gateway_closed_total",
			Help: "Connections that ended, by reason.",
		}, []string{"reason"}),
		registrations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "doit_gateway_registrations_total",
			Help: "What became of register and unregister events.",
		}, []string{"event", "result"}),
	}
	for _, event := range []string{"register", "unregister"} {
		for _, result := range []string{"ok", "refused"} {
			m.registrations.WithLabelValues(event, result)
		}
	}
	r.MustRegister(m.closed, m.registrations,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "doit_gateway_sockets",
			Help: "Sockets that are connected, registered or not.",
		}, func() float64 { return float64(g.sockets.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "doit_gateway_users",
			Help: "Distinct users with a socket on this node; each is one NATS subscription.",
		}, func() float64 { return float64(g.hub.Users()) }),
	)
	return m
}
