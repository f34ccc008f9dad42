package sio

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/gateway/eio"
)

// metrics are the server's metrics. docs/operations.md lists them.
type metrics struct {
	closed        *prometheus.CounterVec
	registrations *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer, srv *Server) *metrics {
	m := &metrics{
		closed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "doit_gateway_closed_total",
			Help: "Connections that have ended, by reason.",
		}, []string{"reason"}),
		registrations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "doit_gateway_registrations_total",
			Help: "register and unregister events from pages, by result.",
		}, []string{"event", "result"}),
	}
	// Every series starts at 0, so that rate() sees its first increase.
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
			Help: "Connected sockets, registered or not.",
		}, func() float64 { return float64(srv.sockets.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "doit_gateway_nameless_sockets",
			Help: "Connected sockets that have never registered an id: no emit reaches them. A page that does not register again after a reconnect has one.",
		}, func() float64 { return float64(srv.nameless.Load()) }),
	)
	return m
}
