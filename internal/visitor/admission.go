package visitor

import (
	"cmp"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
)

// Limits are how many sockets there may be. docs/decisions/0006 says why the
// defaults are what they are. Zero values are no limits, not defaults: the tags
// carry those, and [DefaultLimits] gives them to tests.
type Limits struct {
	MaxSockets              int `default:"100000" help:"Sockets on this node; beyond it new ones are answered 503. 0 is no limit."`
	MaxSocketsPerAddress    int `default:"2000" help:"Sockets from one address (IPv6: from one /64); beyond it new ones are answered 429. 0 is no limit."`
	MaxHandshakesPerAddress int `default:"100" help:"New sockets a second from one address, ten seconds' worth of them at once; beyond it they are answered 429. 0 is no limit."`
}

// DefaultLimits returns the defaults of the flags.
func DefaultLimits() Limits {
	return Limits{MaxSockets: 100_000, MaxSocketsPerAddress: 2000, MaxHandshakesPerAddress: 100}
}

// Validate says what is wrong with the limits.
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

// A Limit names what a visitor has exceeded; "" is nothing.
type Limit string

// The limits of [Limits].
const (
	Sockets              Limit = "max sockets"        // there are MaxSockets
	SocketsPerAddress    Limit = "address sockets"    // the address has MaxSocketsPerAddress
	HandshakesPerAddress Limit = "address handshakes" // the address opens too many a second
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

// SetLimits replaces the limits. They hold for what comes; the sockets that are there stay.
func (a *Admission) SetLimits(l Limits) { a.limits.Store(&l) }

// Admit counts one more socket, or says which limit it would exceed. The zero
// address is exempt from the limits per address.
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

// Release counts a socket off that was admitted.
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
