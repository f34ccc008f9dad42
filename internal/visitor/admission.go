package visitor

import (
	"cmp"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
)

// Limits bound the sockets of a node. Zero means no limit. The tags hold the
// defaults, and [DefaultLimits] returns them to tests. docs/decisions/0006 gives
// the reasons for them.
type Limits struct {
	MaxSockets              int `default:"100000" help:"Most sockets on this node. Further ones are answered 503. 0 means no limit."`
	MaxSocketsPerAddress    int `default:"2000" help:"Most sockets from one address (IPv6: from one /64). Further ones are answered 429. 0 means no limit."`
	MaxHandshakesPerAddress int `default:"100" help:"Most new sockets a second from one address, in bursts of up to ten seconds' worth. Further ones are answered 429. 0 means no limit."`
}

// DefaultLimits returns the defaults of the flags.
func DefaultLimits() Limits {
	return Limits{MaxSockets: 100_000, MaxSocketsPerAddress: 2000, MaxHandshakesPerAddress: 100}
}

// Validate returns an error for the first limit that is out of range.
func (l Limits) Validate() error {
	within := func(flag string, value, most int) error {
		if value < 0 || value > most {
			return fmt.Errorf("%s is %d: it must be 0 to %d", flag, value, most)
		}
		return nil
	}
	return cmp.Or(
		within("--max-sockets", l.MaxSockets, 10_000_000),
		within("--max-sockets-per-address", l.MaxSocketsPerAddress, 10_000_000),
		within("--max-handshakes-per-address", l.MaxHandshakesPerAddress, 1_000_000),
	)
}

// A Limit names a limit that a visitor would exceed; "" means none.
type Limit string

// The names of the fields of [Limits].
const (
	Sockets              Limit = "max sockets"        // MaxSockets
	SocketsPerAddress    Limit = "address sockets"    // MaxSocketsPerAddress
	HandshakesPerAddress Limit = "address handshakes" // MaxHandshakesPerAddress
)

// An Admission counts the sockets of a node and of each address. [Admission.Admit]
// and [Admission.Release] are called in pairs. It is safe for concurrent use.
type Admission struct {
	limits     atomic.Pointer[Limits]
	handshakes Buckets

	mu sync.Mutex // taken before the lock of handshakes
	// Guarded by mu.
	sockets   int
	byAddress map[netip.Addr]int
}

// NewAdmission returns an Admission without sockets.
func NewAdmission(l Limits) *Admission {
	a := &Admission{byAddress: make(map[netip.Addr]int)}
	a.SetLimits(l)
	return a
}

// SetLimits replaces the limits for later calls of Admit. Sockets that are
// admitted stay.
func (a *Admission) SetLimits(l Limits) { a.limits.Store(&l) }

// Admit counts one more socket and returns "", or returns the limit that it
// would exceed. The zero address is exempt from the limits per address.
func (a *Admission) Admit(address netip.Addr) (exceeded Limit) {
	limits := a.limits.Load()
	a.mu.Lock()
	defer a.mu.Unlock()
	if limits.MaxSockets > 0 && a.sockets >= limits.MaxSockets {
		return Sockets
	}
	if address.IsValid() {
		if limits.MaxSocketsPerAddress > 0 && a.byAddress[address] >= limits.MaxSocketsPerAddress {
			return SocketsPerAddress
		}
		if a.handshakes.Take(address, limits.MaxHandshakesPerAddress) > 0 {
			return HandshakesPerAddress
		}
		a.byAddress[address]++
	}
	a.sockets++
	return ""
}

// Release uncounts a socket that was admitted for the address.
func (a *Admission) Release(address netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sockets--
	if !address.IsValid() {
		return
	}
	if a.byAddress[address]--; a.byAddress[address] == 0 {
		delete(a.byAddress, address)
	}
}

// Sockets returns how many sockets are admitted, and from how many addresses.
func (a *Admission) Sockets() (sockets, addresses int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sockets, len(a.byAddress)
}
