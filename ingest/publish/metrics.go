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

// admissionMetrics registers the metrics of [admission] and returns the counters by refusedAll and refusedAddress.
// running returns how many emits run.
func admissionMetrics(reg prometheus.Registerer, running func() float64) (refused [2]prometheus.Counter) {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "doit_ingest_emits_refused_total",
		Help: "Emits that were answered 503 at once because too many ran, in all or from one address, by reason.",
	}, []string{"reason"})
	refused[refusedAll], refused[refusedAddress] = vec.WithLabelValues("max emits"), vec.WithLabelValues("address")
	reg.MustRegister(vec, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "doit_ingest_emits_running",
		Help: "Emits that wait for their receipts, or are being sent.",
	}, running))
	return refused
}
