package emit

import (
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what an ingest counts. docs/operations.md lists them.
type metrics struct {
	emits     *prometheus.CounterVec
	ok        prometheus.Counter // of emits
	nobody    prometheus.Counter // of emits
	malformed prometheus.Counter // receipts
	late      prometheus.Counter // receipts
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		emits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "doit_ingest_emits_total",
			Help: "Emits, by the HTTP status and the body that answered them.",
		}, []string{"status", "answer"}),
		malformed: prometheus.NewCounter(dropped("malformed")),
		late:      prometheus.NewCounter(dropped("late")),
	}
	m.ok, m.nobody = m.emits.WithLabelValues("200", "OK"), m.emits.WithLabelValues("200", "ERROR")
	for _, status := range []string{"400", "405", "413", "503"} {
		m.emits.WithLabelValues(status, "ERROR")
	}
	r.MustRegister(m.emits, m.malformed, m.late)
	return m
}

// answered counts an emit.
func (m *metrics) answered(status int, answer string) {
	switch {
	case status != http.StatusOK:
		m.emits.WithLabelValues(strconv.Itoa(status), answer).Inc()
	case answer == "OK":
		m.ok.Inc()
	default:
		m.nobody.Inc()
	}
}

// dropped describes a counter of receipts; the label is constant because nats.go counts one of them.
func dropped(reason string) prometheus.CounterOpts {
	return prometheus.CounterOpts{
		Name:        "doit_ingest_receipts_dropped_total",
		Help:        "Answers to emits that were of no use, by reason.",
		ConstLabels: prometheus.Labels{"reason": reason},
	}
}

// watchBacklog counts the receipts that nats.go drops because they come faster than they are read.
func watchBacklog(r prometheus.Registerer, sub *nats.Subscription) {
	var last atomic.Int64
	r.MustRegister(prometheus.NewCounterFunc(dropped("backlog"), func() float64 {
		if n, err := sub.Dropped(); err == nil { // not after the end
			last.Store(int64(n))
		}
		return float64(last.Load())
	}))
}
