// Package clock is a monotonic clock whose time is an int64. A time.Time takes
// three times the memory, which counts in the state of each socket and address.
// It is safe for concurrent use.
package clock

import "time"

// Standstill is how late a timer of a process that keeps up runs at most. A
// later one tells that the process or its machine stood still, or was
// overloaded. What others sent meanwhile is then still to be read, so a timer
// that judges their silence has to wait once more.
const Standstill = 100 * time.Millisecond

// Now returns the nanoseconds since a fixed time in the past. It never goes
// back. With the wall clock, a token bucket would stay empty for as long as the
// clock was set back.
func Now() int64 { return int64(time.Since(epoch)) }

// epoch is 50 years before the start of the process, so that 0 is far in the
// past for every caller, also where testing/synctest replaces the time.
var epoch = time.Now().Add(-50 * 365 * 24 * time.Hour)
