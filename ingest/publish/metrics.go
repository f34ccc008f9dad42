package publish

import "github.com/prometheus/client_golang/prometheus"

// metrics count the answers that were of no use. docs/operations.md lists them.
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

// dropped describes a counter of answers. The label is constant, because one of the counters is a function and
// Prometheus has no vector of those.
func dropped(reason string) prometheus.CounterOpts {
	return prometheus.CounterOpts{
		Name:        "doit_ingest_receipts_dropped_total",
		Help:        "Answers to emits that were of no use, by reason.",
		ConstLabels: prometheus.Labels{"reason": reason},
	}
}
