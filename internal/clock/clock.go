// Package clock is a monotonic clock in one number, for state that there is
// much of: a time.Time is three times as large. It is safe for concurrent use.
package clock

import "time"

// Now returns the time in nanoseconds since a moment long ago. It never goes
// back, also when the wall clock is corrected: a token bucket that was filled
// by the wall clock would stay empty for as long as the correction is large.
func Now() int64 { return int64(time.Since(epoch)) }

// epoch is long ago, so that zero is in the past, also in a bubble of
// testing/synctest, where the time begins in the year 2000.
var epoch = time.Now().Add(-50 * 365 * 24 * time.Hour)
