package hub

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the metrics of a hub. docs/operations.md lists them.
type Metrics struct {
	delivered prometheus.Counter
	dropped   *prometheus.CounterVec
	gaps      *prometheus.CounterVec
}

// NewMetrics returns the metrics of a hub and registers them with r.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		delivered: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "doit_gateway_delivered_total",
			Help: "Events that a socket took and was still open afterwards, counted once for each socket.",
		}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "doit_gateway_dropped_total",
			Help: "Messages from NATS that this gateway did not deliver, and receipts that it could not send, by reason.",
		}, []string{"reason"}),
		gaps: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "doit_gateway_gaps_total",
			Help: "Gap events sent to sockets that may have missed events, by reason.",
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
