package eio

import "time"

// burst is how much of a rate may come at once: what it allows in this time.
const burst = 10 * time.Second

// A bucket limits a rate. It is a token bucket in one number, the moment at
// which it is full again (the generic cell rate algorithm); zero is a full
// one. It has no lock: whoever owns it has.
type bucket int64

// take takes a token and reports whether there was one. The rate is in tokens
// a second, 0 is no limit.
func (b *bucket) take(now int64, rate int) bool {
	if rate == 0 {
		return true
	}
	full := max(int64(*b), now) + int64(time.Second)/int64(rate)
	if full-now > int64(burst) {
		return false
	}
	*b = bucket(full)
	return true
}

// full reports whether nothing is missing: the bucket is as good as a new one.
func (b bucket) full(now int64) bool { return int64(b) <= now }

// clock is the time in nanoseconds, which nobody sets back: a bucket filled by
// the wall clock would stay empty for an hour when that is corrected by one.
func clock() int64 { return int64(time.Since(epoch)) }

// epoch is long ago, so that zero is in the past; also in a bubble of
// synctest, where it is the year 2000.
var epoch = time.Now().Add(-50 * 365 * 24 * time.Hour)
