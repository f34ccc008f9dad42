package visitor

import (
	"net/netip"
	"sync"
	"time"

	"github.com/ramainen/doit-socket/internal/clock"
)

// minSweep is the number of buckets below which they are not swept.
const minSweep = 1024

// Buckets are token buckets by address. The zero value is ready for use. It is
// safe for concurrent use.
type Buckets struct {
	mu sync.Mutex
	// Guarded by mu.
	buckets map[netip.Addr]Bucket // an absent bucket is full
	sweepAt int                   // the number of buckets at which they are swept next
}

// Take takes a token of the address's bucket; see [Bucket.Take].
func (b *Buckets) Take(address netip.Addr, rate int) (wait time.Duration) {
	return b.Borrow(address, rate, 1, 0)
}

// Borrow takes n tokens of the address's bucket, on credit if it has fewer. It
// returns how long it takes until the bucket has earned them; see
// [Bucket.After]. If that is longer than most, it takes none.
func (b *Buckets) Borrow(address netip.Addr, rate, n int, most time.Duration) (wait time.Duration) {
	if rate == 0 || n == 0 {
		return 0
	}
	now := clock.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	bucket, known := b.buckets[address]
	after, wait := bucket.After(now, rate, n)
	if wait > most {
		return wait
	}
	if !known && len(b.buckets) >= b.sweepAt {
		b.sweep(now)
	}
	b.buckets[address] = after
	return wait
}

// sweep drops the full buckets. It runs when the number of buckets has doubled
// since the last sweep. So there are at most minSweep buckets or twice as many as
// took a token within [Burst], or within the credit more than that, and an
// insertion takes constant amortized time. The caller holds mu.
func (b *Buckets) sweep(now int64) {
	alive := make(map[netip.Addr]Bucket) // a new map, because a map never shrinks
	for address, bucket := range b.buckets {
		if !bucket.Full(now) {
			alive[address] = bucket
		}
	}
	b.buckets = alive
	b.sweepAt = max(minSweep, 2*len(alive))
}

// Len returns how many buckets are kept.
func (b *Buckets) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.buckets)
}
