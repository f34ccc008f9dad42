package eio

import (
	"maps"
	"net/http"
	"net/netip"
	"slices"
)

// A Refusal says why a browser is turned away before it costs anything. The
// set is closed, so it can label a metric.
type Refusal string

// The refusals. What each answers is in the table below.
const (
	RefusedOrigin            Refusal = "origin"             // its page is of an origin that is not in Origins
	RefusedDraining          Refusal = "draining"           // this server ends
	RefusedSockets           Refusal = "max sockets"        // there are MaxSockets already
	RefusedAddressSockets    Refusal = "address sockets"    // its address has MaxSocketsPerAddress already
	RefusedAddressHandshakes Refusal = "address handshakes" // its address opens too many a second
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

// A visitor is what is known of an address. It is kept for as long as it has
// sockets, or handshakes count against it.
type visitor struct {
	sockets    int
	handshakes bucket
}

// minVisitors is how many addresses are kept before a sweep is worth it.
const minVisitors = 1024

// admit lets a browser in, or says why not. What it counts, forget counts off.
func (srv *Server) admit(address netip.Addr) Refusal {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.refusing {
		return RefusedDraining
	}
	if srv.MaxSockets > 0 && srv.admitted >= srv.MaxSockets {
		return RefusedSockets
	}
	if address.IsValid() {
		now := clock()
		v, known := srv.visitors[address]
		if srv.MaxSocketsPerAddress > 0 && v.sockets >= srv.MaxSocketsPerAddress {
			return RefusedAddressSockets
		}
		if !v.handshakes.take(now, srv.MaxHandshakesPerAddress) {
			return RefusedAddressHandshakes
		}
		if !known && len(srv.visitors) >= srv.sweepAt {
			srv.sweepVisitors(now)
		}
		v.sockets++
		srv.visitors[address] = v
	}
	srv.admitted++
	return ""
}

// leave counts a browser off. The caller holds mu.
func (srv *Server) leave(address netip.Addr) {
	srv.admitted--
	v, known := srv.visitors[address]
	if !known {
		return // exempt
	}
	v.sockets--
	if v.sockets == 0 && v.handshakes.full(clock()) {
		delete(srv.visitors, address)
		return
	}
	srv.visitors[address] = v
}

// sweepVisitors lets go of the addresses of which nothing is left to know. It
// runs when their number has doubled since the last time: so there are never
// more than twice as many as have sockets, or have opened some in the last
// ten seconds (burst), and an insertion costs the same on average however
// many there are. A stranger with many networks can make the map no larger
// than his sockets make the rest. The caller holds mu.
func (srv *Server) sweepVisitors(now int64) {
	alive := make(map[netip.Addr]visitor) // a new one: a map never gives memory back
	for address, v := range srv.visitors {
		if v.sockets > 0 || !v.handshakes.full(now) {
			alive[address] = v
		}
	}
	srv.visitors = alive
	srv.sweepAt = max(minVisitors, 2*len(alive))
}
