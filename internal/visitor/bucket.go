package visitor

import "time"

// Burst is the size of a full bucket, as the time in which the rate fills it.
const Burst = 10 * time.Second

// A Bucket is a token bucket. Its value is the time, by [clock.Now], at which it
// will be full (the generic cell rate algorithm); zero is a full bucket. It is
// not safe for concurrent use.
type Bucket int64

// Take takes a token and returns 0. If the bucket is empty, it takes none and
// returns how long to wait for the next. now is [clock.Now]. rate is in tokens a
// second; 0 means no limit.
func (b *Bucket) Take(now int64, rate int) (wait time.Duration) {
	if rate == 0 {
		return 0
	}
	full := max(int64(*b), now) + int64(time.Second)/int64(rate)
	if wait = time.Duration(full - now - int64(Burst)); wait > 0 {
		return wait
	}
	*b = Bucket(full)
	return 0
}

// Full reports whether the bucket is full at the time now. It then equals a new
// bucket.
func (b Bucket) Full(now int64) bool { return int64(b) <= now }
