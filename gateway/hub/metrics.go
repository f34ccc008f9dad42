package hub

import "github.com/prometheus/client_golang/prometheus"

// Metrics are what a hub counts. docs/operations.md lists them.
type Metrics struct {
	delivered prometheus.Counter
	dropped   *prometheus.CounterVec
}

// NewMetrics registers the hub's metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		delivered: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "doit_gateway_delivered_total",
			Help: "Events handed to a socket, counted once for each socket.",
		}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "doit_gateway_dropped_total",
			Help: "Messages from the bus, or answers to it, that this gateway could not use, by reason.",
		}, []string{"reason"}),
	}
	for _, reason := range []string{"malformed", "unknown op", "receipt"} {
		m.dropped.WithLabelValues(reason)
	}
	r.MustRegister(m.delivered, m.dropped)
	return m
}
