package publish

import (
	"net/netip"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// An admission bounds how many emits run at once, in all and for each address.
//
// An address may have as many as are left free. So one address alone gets half of all, a second one half of the rest,
// and so on. If n addresses go on asking for more than they get, each has one part of n+1 in the end, and one part is
// free for the next address. This is the dynamic threshold by which switches share their memory between ports
// (Choudhury and Hahne, 1998): one rule, without a number for each address that would have to fit one PHP machine as
// well as twenty.
type admission struct {
	most    int // [Config.MaxEmits]; 0 is no limit
	refused [2]prometheus.Counter

	mu sync.Mutex
	// Guarded by mu.
	running int
	shares  map[netip.Addr]int // how many run, by [Emit.From]; never zero, so there are at most as many as run
}

// Indices of admission.refused.
const (
	refusedAll     = iota // as many run as may
	refusedAddress        // the address has as many as are free
)

func newAdmission(most int, reg prometheus.Registerer) *admission {
	a := &admission{most: most, shares: make(map[netip.Addr]int)}
	a.refused = admissionMetrics(reg, a.count)
	return a
}

// enter reports whether one more emit of this address may run. If so, leave must follow.
func (a *admission) enter(from netip.Addr) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if free := a.most - a.running; a.most > 0 && a.shares[from] >= free {
		reason := refusedAddress
		if free == 0 {
			reason = refusedAll
		}
		a.refused[reason].Inc()
		return false
	}
	a.running++
	a.shares[from]++
	return true
}

func (a *admission) leave(from netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running--
	if a.shares[from]--; a.shares[from] == 0 {
		delete(a.shares, from)
	}
}

// count returns how many emits run.
func (a *admission) count() float64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return float64(a.running)
}
