package listen

import "github.com/prometheus/client_golang/prometheus"

// connectionMetrics are the metrics of the listeners. docs/operations.md lists
// them.
type connectionMetrics struct {
	registry *prometheus.Registry
	refused  *prometheus.CounterVec // by listener and reason
	evicted  *prometheus.CounterVec // by listener and state
}

func newConnectionMetrics(r *prometheus.Registry) *connectionMetrics {
	m := &connectionMetrics{
		registry: r,
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "doit_connections_refused_total",
			Help: "Connections that were refused, by listener and reason.",
		}, []string{"listener", "reason"}),
		evicted: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "doit_connections_evicted_total",
			Help: "Connections that waited for a request and were closed to make room for others, by listener and state.",
		}, []string{"listener", "state"}),
	}
	r.MustRegister(m.refused, m.evicted)
	return m
}

// States of connections that are evicted.
const (
	stateNew  = "new"  // has sent no complete head yet
	stateIdle = "idle" // is kept alive between two requests
)

// add adds the metrics of a listener. Every series starts at 0.
func (m *connectionMetrics) add(l *listener) {
	for why := range refusals {
		if reason := refusals[why].reason; reason != "" {
			m.refused.WithLabelValues(l.name, reason)
		}
	}
	for _, state := range []string{stateNew, stateIdle} {
		m.evicted.WithLabelValues(l.name, state)
	}
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "doit_connections", ConstLabels: prometheus.Labels{"listener": l.name},
		Help: "Open TCP connections, by listener.",
	}, func() float64 { return float64(l.connections.openOf(l)) }))
}
