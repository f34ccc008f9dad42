package hub

import "github.com/prometheus/client_golang/prometheus"

// Metrics are what a hub counts. docs/operations.md lists them.
type Metrics struct {
	delivered prometheus.Counter
	dropped   *prometheus.CounterVec
	gaps      *prometheus.CounterVec
}

// NewMetrics registers the hub's metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		delivered: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "doit_gateway_delivered_total",
			Help: "Events handed to a socket that was open after it, counted once for each socket.",
		}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "doit_gateway_dropped_total",
			Help: "Messages from the bus that this gateway did not deliver, and receipts that it could not send, by reason.",
		}, []string{"reason"}),
		gaps: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "doit_gateway_gaps_total",
			Help: "Sockets that were told that they may have missed events, by reason.",
		}, []string{"reason"}),
	}
	for _, reason := range []string{"malformed", "unknown op", "receipt", "backlog"} {
		m.dropped.WithLabelValues(reason)
	}
	for _, reason := range []string{gapBus, gapBacklog} {
		m.gaps.WithLabelValues(reason)
	}
	r.MustRegister(m.delivered, m.dropped, m.gaps)
	return m
}
