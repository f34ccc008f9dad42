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
	after, wait := b.After(now, rate, 1)
	if wait == 0 {
		*b = after
	}
	return wait
}

// After returns the bucket without n of its tokens, and how long it takes until
// the bucket has earned those that it lacks: 0 if it has all of them. A caller
// that stores the returned bucket has taken the tokens, on credit if wait is not
// 0. More tokens than a full bucket has cost a full bucket. now and rate are
// those of [Bucket.Take].
func (b Bucket) After(now int64, rate, n int) (after Bucket, wait time.Duration) {
	if rate == 0 || n == 0 {
		return b, 0
	}
	price := min(int64(n)*(int64(time.Second)/int64(rate)), int64(Burst))
	full := max(int64(b), now) + price
	return Bucket(full), max(0, time.Duration(full-now-int64(Burst)))
}

// Left returns how many tokens the bucket has at the time now. rate is not 0.
func (b Bucket) Left(now int64, rate int) int {
	missing := max(0, int64(b)-now)
	return int(max(0, int64(Burst)-missing) / (int64(time.Second) / int64(rate)))
}

// Full reports whether the bucket is full at the time now. It then equals a new
// bucket.
func (b Bucket) Full(now int64) bool { return int64(b) <= now }
