package publish

import (
	"net/netip"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// An admission bounds how many emits run at once and how many bytes they have, in all and for each address.
//
// An address may have as much as is left free. So one address alone gets half of all, a second one half of the rest,
// and so on. If n addresses go on asking for more than they get, each has one part of n+1 in the end, and one part is
// free for the next address. This is the dynamic threshold by which switches share their memory between ports
// (Choudhury and Hahne, 1998): one rule, without a number for each address that would have to fit one PHP machine as
// well as twenty.
type admission struct {
	most      int   // [Config.MaxEmits]; 0 is no limit
	mostBytes int64 // largestAtOnce times [Config.MaxEmitBytes]; 0 is no limit
	small     int64 // emits of up to so many bytes are counted, but not their bytes
	refused   [2]prometheus.Counter

	mu sync.Mutex
	// Guarded by mu.
	all    share
	shares map[netip.Addr]share // by [Emit.From]; none is without emits, so there are at most as many as run
}

const (
	// largestAtOnce is how many emits of the largest size may run at once. More bytes do not get through NATS within the
	// second of an emit on a small machine. They would only delay the emits of others.
	largestAtOnce = 2
	// smallPart is how many small emits have as many bytes as one of the largest size. So the bytes of all that may run
	// by default are one largest emit. Large emits of one address leave its small ones alone, and those of a proxy.
	smallPart = 1024
)

// A share is what runs, in all or of one address.
type share struct {
	emits int
	bytes int64 // receivers times payload of the emits that [admission.carry] has let in
}

// Indices of admission.refused.
const (
	refusedAll     = iota // nothing is free
	refusedAddress        // the address has as much as is free
)

func newAdmission(cfg Config, reg prometheus.Registerer) *admission {
	a := &admission{most: cfg.MaxEmits, shares: make(map[netip.Addr]share)}
	a.mostBytes, a.small = largestAtOnce*cfg.MaxEmitBytes, cfg.MaxEmitBytes/smallPart
	a.refused = admissionMetrics(reg, a.count)
	return a
}

// enter reports whether one more emit of this address may run. If so, leave must follow.
func (a *admission) enter(from netip.Addr) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if free := a.most - a.all.emits; a.most > 0 && a.shares[from].emits >= free {
		a.refuse(free == 0)
		return false
	}
	a.add(from, share{emits: 1})
	return true
}

// carry reports whether an emit that runs may send so many bytes. If so, leave must be called with them.
func (a *admission) carry(from netip.Addr, bytes int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if bytes <= a.small {
		return true
	}
	if !a.fits(from, bytes) {
		return false
	}
	a.add(from, share{bytes: bytes})
	return true
}

// mayCarry reports whether carry would let an emit of so many bytes in now. If not, it counts as refused.
func (a *admission) mayCarry(from netip.Addr, bytes int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return bytes <= a.small || a.fits(from, bytes)
}

// fits reports whether so many bytes more fit, and counts a refusal if not. The caller holds mu.
func (a *admission) fits(from netip.Addr, bytes int64) bool {
	free := a.mostBytes - a.all.bytes - bytes // if this emit runs
	if a.mostBytes > 0 && a.shares[from].bytes+bytes > free {
		a.refuse(free < 0)
		return false
	}
	return true
}

// leave ends an emit with so many bytes, zero without carry.
func (a *admission) leave(from netip.Addr, bytes int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if bytes <= a.small {
		bytes = 0
	}
	a.add(from, share{-1, -bytes})
}

// refuse counts a refusal. The caller holds mu.
func (a *admission) refuse(all bool) {
	if all {
		a.refused[refusedAll].Inc()
	} else {
		a.refused[refusedAddress].Inc()
	}
}

// add adds to what runs. The caller holds mu.
func (a *admission) add(from netip.Addr, more share) {
	a.all.emits, a.all.bytes = a.all.emits+more.emits, a.all.bytes+more.bytes
	s := a.shares[from]
	s.emits, s.bytes = s.emits+more.emits, s.bytes+more.bytes
	if s.emits == 0 {
		delete(a.shares, from)
	} else {
		a.shares[from] = s
	}
}

// count returns how many emits run.
func (a *admission) count() float64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return float64(a.all.emits)
}
