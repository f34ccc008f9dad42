package publish

import "github.com/prometheus/client_golang/prometheus"

// metrics count answers that were not used for an emit. docs/operations.md lists them.
type metrics struct {
	malformed prometheus.Counter
	late      prometheus.Counter
}

// newMetrics registers the metrics. backlog returns how many answers nats.go has dropped.
func newMetrics(reg prometheus.Registerer, backlog func() float64) *metrics {
	m := &metrics{
		malformed: prometheus.NewCounter(dropped("malformed")),
		late:      prometheus.NewCounter(dropped("late")),
	}
	reg.MustRegister(m.malformed, m.late, prometheus.NewCounterFunc(dropped("backlog"), backlog))
	return m
}

// dropped returns the options of the counter for one reason. The reason is a constant label and not that of a vector,
// because the counter for backlog is a CounterFunc, which Prometheus has no vector for.
func dropped(reason string) prometheus.CounterOpts {
	return prometheus.CounterOpts{
		Name:        "doit_ingest_receipts_dropped_total",
		Help:        "Answers to emits that were dropped, by reason.",
		ConstLabels: prometheus.Labels{"reason": reason},
	}
}
