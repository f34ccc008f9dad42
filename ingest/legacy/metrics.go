package legacy

import (
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics count emits, and requests for the sums, by their answer, and mistakes. docs/operations.md lists them.
type metrics struct {
	emits      *prometheus.CounterVec
	ok, nobody prometheus.Counter // the two counters of emits for status 200, looked up once
	stats      *prometheus.CounterVec
	statOK     prometheus.Counter            // of stats
	mistakes   map[string]prometheus.Counter // by kind
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{emits: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "doit_ingest_emits_total",
		Help: "Emits, by the HTTP status and the body of their answer.",
	}, []string{"status", "answer"})}
	m.ok, m.nobody = m.emits.WithLabelValues("200", "OK"), m.emits.WithLabelValues("200", "ERROR")
	for _, status := range []string{"400", "403", "405", "413", "415", "503"} {
		m.emits.WithLabelValues(status, "ERROR") // creates the counter, so that it is exported as 0 before the first such emit
	}
	m.stats = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "doit_ingest_stats_total",
		Help: "Requests for /stat/all, by the HTTP status of their answer.",
	}, []string{"status"})
	m.statOK = m.stats.WithLabelValues("200")
	for _, status := range []string{"403", "405", "503"} {
		m.stats.WithLabelValues(status)
	}
	mistakes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "doit_ingest_mistakes_total",
		Help: "Requests for /emit and /stat/all that their sender has to change, by what is wrong.",
	}, []string{"kind"})
	m.mistakes = make(map[string]prometheus.Counter)
	for _, kind := range kinds {
		m.mistakes[kind] = mistakes.WithLabelValues(kind)
	}
	reg.MustRegister(m.emits, m.stats, mistakes)
	return m
}

// answered counts one emit by its answer.
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
