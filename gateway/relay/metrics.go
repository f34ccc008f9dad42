package relay

import "github.com/prometheus/client_golang/prometheus"

// metrics are the metrics of a node. docs/operations.md lists them.
type metrics struct {
	passed *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer, n *Node) *metrics {
	m := &metrics{passed: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "doit_gateway_passed_total",
		Help: "Requests of sessions on other nodes that were passed on to those nodes, by kind of request and result.",
	}, []string{"kind", "result"})}
	for _, kind := range []string{"poll", "post", "websocket"} {
		for _, result := range []string{resultPassed, resultNobody, resultFailed, resultFull, resultDraining} {
			m.passed.WithLabelValues(kind, result)
		}
	}
	r.MustRegister(m.passed, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "doit_gateway_pipes",
		Help: "Websockets that browsers have opened at this node for sessions on other nodes.",
	}, func() float64 { return float64(n.Pipes()) }))
	return m
}
