package visitor

import "time"

// Burst is how much of a rate may come at once: what the rate allows in this time.
const Burst = 10 * time.Second

// A Bucket limits a rate. It is a token bucket in one number, the moment at
// which it is full again (the generic cell rate algorithm); zero is a full
// bucket. It has no lock: its owner has one.
type Bucket int64

// Take takes a token. It returns 0 if there was one, and otherwise how long
// the caller has to wait for the next. now is [clock.Now]; rate is in tokens a
// second, 0 is no limit.
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

// Full reports whether no token is missing: the bucket is as good as a new one.
func (b Bucket) Full(now int64) bool { return int64(b) <= now }
