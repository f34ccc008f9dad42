package eio

import (
	"maps"
	"net/http"
	"net/netip"
	"slices"

	"github.com/ramainen/doit-socket/internal/visitor"
)

// A Refusal says why a browser is turned away before it costs anything. The
// set is closed, so it can label a metric.
type Refusal string

// The refusals. What each answers is in the table below.
const (
	RefusedOrigin            Refusal = "origin"                              // its page is of an origin that is not allowed
	RefusedDraining          Refusal = "draining"                            // this server ends
	RefusedSockets                   = Refusal(visitor.Sockets)              // there are as many as may be
	RefusedAddressSockets            = Refusal(visitor.SocketsPerAddress)    // its address has as many as it may
	RefusedAddressHandshakes         = Refusal(visitor.HandshakesPerAddress) // its address opens too many a second
)

// To a client of Socket.IO any of these is a failed connect, which it tries
// again, less and less often; Retry-After is for those who read it.
var refusals = map[Refusal]struct {
	status     int
	retryAfter string // in seconds
	message    string
}{
	RefusedOrigin:            {http.StatusForbidden, "", "Forbidden"},
	RefusedDraining:          {http.StatusServiceUnavailable, "1", "Server is shutting down"},
	RefusedSockets:           {http.StatusServiceUnavailable, "10", "Too many connections"},
	RefusedAddressSockets:    {http.StatusTooManyRequests, "10", "Too many connections from this address"},
	RefusedAddressHandshakes: {http.StatusTooManyRequests, "1", "Too many new connections from this address"},
}

// Refusals returns all that there are.
func Refusals() []Refusal { return slices.Sorted(maps.Keys(refusals)) }

// turnAway answers a browser that may not come in. The body is what Node's
// server says when its allowRequest refuses.
func (srv *Server) turnAway(w http.ResponseWriter, why Refusal) {
	if srv.OnRefuse != nil {
		srv.OnRefuse(why)
	}
	r := refusals[why]
	if r.retryAfter != "" {
		w.Header().Set("Retry-After", r.retryAfter)
	}
	answerError(w, r.status, protocolError{codeForbidden, r.message})
}

// AdmitBy returns the Admit and Release of a [Server] whose sockets are
// limited by what admission says of the addresses that addresses finds.
func AdmitBy(addresses *visitor.Addresses, admission *visitor.Admission) (
	admit func(*http.Request) (netip.Addr, Refusal), release func(netip.Addr),
) {
	return func(r *http.Request) (netip.Addr, Refusal) {
		address := addresses.Of(r)
		return address, Refusal(admission.Admit(address))
	}, admission.Release
}
