package sio

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/gateway/eio"
	"github.com/ramainen/doit-socket/gateway/hub"
	"github.com/ramainen/doit-socket/internal/wire"
)

// metrics are the server's metrics. docs/operations.md lists them.
type metrics struct {
	closed        *prometheus.CounterVec
	registrations *prometheus.CounterVec
	refused       *prometheus.CounterVec
	unknown       *prometheus.CounterVec
	delayed       prometheus.Counter
}

// Reasons for which a register or unregister event is refused, as the metric names them.
const (
	reasonArgument    = "argument"
	reasonNoUserID    = "no userid"
	reasonNumber      = "number"
	reasonInvalid     = "invalid"
	reasonIDs         = "max ids"
	reasonSessionRate = "page rate"
	reasonAddressRate = "address rate"
	reasonNodeRate    = "node rate"
	reasonPending     = "page pending"
	reasonNodePending = "node pending"
	reasonGone        = "gone"
	reasonNATS        = "nats"
)

// reasonOf returns the reason of a refusal.
func reasonOf(err error) string {
	var over *overBudget
	switch {
	case errors.As(err, &over):
		return over.reason
	case errors.Is(err, errArgument):
		return reasonArgument
	case errors.Is(err, errNoUserID):
		return reasonNoUserID
	case errors.Is(err, errNumber):
		return reasonNumber
	case errors.Is(err, errUserID), errors.Is(err, errBinary), errors.Is(err, wire.ErrID):
		return reasonInvalid
	case errors.Is(err, hub.ErrTooManyUsers):
		return reasonIDs
	case errors.Is(err, errPending):
		return reasonPending
	case errors.Is(err, errNodePending):
		return reasonNodePending
	case errors.Is(err, hub.ErrGone):
		return reasonGone
	}
	return reasonNATS
}

func newMetrics(r prometheus.Registerer, srv *Server) *metrics {
	m := &metrics{
		closed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "doit_gateway_closed_total",
			Help: "Connections that have ended, by reason.",
		}, []string{"reason"}),
		registrations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "doit_gateway_registrations_total",
			Help: "register and unregister events from pages, by result.",
		}, []string{"event", "result"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "doit_gateway_registrations_refused_total",
			Help: "register and unregister events from pages that were refused, by reason.",
		}, []string{"reason"}),
		unknown: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "doit_gateway_unknown_events_total",
			Help: "Events from pages other than register and unregister, which have no effect, by kind.",
		}, []string{"kind"}),
		delayed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "doit_gateway_registrations_delayed_total",
			Help: "register events that waited because pages had registered too many new ids.",
		}),
	}
	// Every series starts at 0, so that rate() sees its first increase.
	for _, why := range append(eio.Reasons(), reasonIdle, reasonKicked) {
		m.closed.WithLabelValues(string(why))
	}
	for _, event := range []string{"register", "unregister"} {
		for _, result := range []string{"ok", "refused"} {
			m.registrations.WithLabelValues(event, result)
		}
	}
	for _, reason := range []string{
		reasonArgument, reasonNoUserID, reasonNumber, reasonInvalid, reasonIDs, reasonSessionRate, reasonAddressRate, reasonNodeRate,
		reasonPending, reasonNodePending, reasonGone, reasonNATS,
	} {
		m.refused.WithLabelValues(reason)
	}
	for _, kind := range []string{unknownMisspelt, unknownOther} {
		m.unknown.WithLabelValues(kind)
	}
	r.MustRegister(m.closed, m.registrations, m.refused, m.unknown, m.delayed,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "doit_gateway_sockets",
			Help: "Connected sockets, registered or not.",
		}, func() float64 { return float64(srv.sockets.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "doit_gateway_nameless_sockets",
			Help: "Connected sockets that have never registered an id: no emit reaches them. A page that does not register again after a reconnect has one.",
		}, func() float64 { return float64(srv.nameless.Load()) }),
	)
	return m
}
