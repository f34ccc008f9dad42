package sio

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/gateway/eio"
)

// metrics are what the server counts. docs/operations.md lists them.
type metrics struct {
	closed        *prometheus.CounterVec
	registrations *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer, srv *Server) *metrics {
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
	// At 0 from the start: a rate of them is known at once.
	for _, why := range append(eio.Reasons(), reasonIdle, reasonKicked) {
		m.closed.WithLabelValues(string(why))
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
		}, func() float64 { return float64(srv.sockets.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "doit_gateway_nameless_sockets",
			Help: "Sockets that are connected and have never registered an id: no emit reaches them. Old pages leave one behind at each reconnect.",
		}, func() float64 { return float64(srv.nameless.Load()) }),
	)
	return m
}
