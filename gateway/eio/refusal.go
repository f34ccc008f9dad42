package eio

import (
	"maps"
	"net/http"
	"net/netip"
	"slices"

	"github.com/ramainen/doit-socket/internal/visitor"
)

// A Refusal says why a browser is turned away before a session is opened. There
// are few, so a Refusal may label a metric.
type Refusal string

// The refusals. The table below has the answer of each.
const (
	RefusedOrigin            Refusal = "origin"                              // its page's origin is not allowed
	RefusedDraining          Refusal = "draining"                            // this server drains or closes
	RefusedSockets                   = Refusal(visitor.Sockets)              // the node has MaxSockets
	RefusedAddressSockets            = Refusal(visitor.SocketsPerAddress)    // the address has MaxSocketsPerAddress
	RefusedAddressHandshakes         = Refusal(visitor.HandshakesPerAddress) // the address exceeds MaxHandshakesPerAddress
)

// refusals are the answers. A Socket.IO client takes each for a failed connect
// and tries again at growing intervals. Retry-After is for other clients.
var refusals = map[Refusal]struct {
	status     int
	retryAfter string // in seconds
	message    string
}{
	RefusedOrigin:            {http.StatusForbidden, "", "Forbidden: pages of this origin may not connect here. The operator of this server can allow it with --origins"},
	RefusedDraining:          {http.StatusServiceUnavailable, "1", "Server is shutting down"},
	RefusedSockets:           {http.StatusServiceUnavailable, "10", "Too many connections"},
	RefusedAddressSockets:    {http.StatusTooManyRequests, "10", "Too many connections from this address"},
	RefusedAddressHandshakes: {http.StatusTooManyRequests, "1", "Too many new connections from this address"},
}

// Refusals returns all refusals, sorted.
func Refusals() []Refusal { return slices.Sorted(maps.Keys(refusals)) }

// AdmitBy returns functions for Admit and Release of a [Server]. They find a
// browser's address by addresses, and apply the limits of admission to it.
func AdmitBy(addresses *visitor.Addresses, admission *visitor.Admission) (
	admit func(*http.Request) (netip.Addr, Refusal), release func(netip.Addr),
) {
	return func(r *http.Request) (netip.Addr, Refusal) {
		address := addresses.Of(r)
		return address, Refusal(admission.Admit(address))
	}, admission.Release
}
