package visitor

import (
	"math"
	"net/netip"
)

// leastSpending is how many tokens an address must have spent of late to be kept
// by [Spending] for sure.
const leastSpending = 16

// Spending counts the tokens that each address has spent of late: a token that
// was spent a time t ago counts as e^(-t/[Burst]). So the count of an address that
// spends at a steady rate is what it spends within Burst. The zero value is ready
// for use. It is not safe for concurrent use.
type Spending struct {
	addresses map[netip.Addr]spent
	sweepAt   int // the number of addresses at which they are swept next
}

// spent is the count of an address at a time, by [clock.Now].
type spent struct {
	tokens float64
	at     int64
}

func (s spent) now(now int64) float64 {
	return s.tokens * math.Exp(-float64(now-s.at)/float64(Burst))
}

// Of returns the count of an address. now is [clock.Now].
func (s *Spending) Of(address netip.Addr, now int64) float64 {
	return s.addresses[address].now(now)
}

// Add adds n tokens, spent now.
func (s *Spending) Add(address netip.Addr, now int64, n int) {
	if n == 0 {
		return
	}
	before, known := s.addresses[address]
	if !known && len(s.addresses) >= s.sweepAt {
		s.sweep(now)
	}
	s.addresses[address] = spent{before.now(now) + float64(n), now}
}

// sweep drops the addresses with fewer tokens than leastSpending. It runs when
// the number of addresses has doubled since the last sweep. So there are at most
// minSweep addresses, or twice as many as the count of all contains leastSpending.
func (s *Spending) sweep(now int64) {
	alive := make(map[netip.Addr]spent) // a new map, because a map never shrinks
	for address, c := range s.addresses {
		if c.now(now) >= leastSpending {
			alive[address] = c
		}
	}
	s.addresses = alive
	s.sweepAt = max(minSweep, 2*len(alive))
}
