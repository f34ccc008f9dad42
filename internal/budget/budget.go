// Package budget bounds the bytes that a process holds for others: what waits for slow readers, what is being read, and
// what waits for its turn. It knows neither sockets nor emits.
//
//	something new      Account.Set, ReadAll ──▶ Budget.Take: refused beyond the limit
//	what is there      Budget.Add: never refused
//	beyond the limit   Over ──▶ Relieve: cuts the holders of the most bytes
package budget

import "sync/atomic"

// A Budget counts bytes against a limit. A nil Budget has no limit and counts nothing. All methods are safe for
// concurrent use.
type Budget struct {
	limit   int64
	used    atomic.Int64
	refused atomic.Int64
	over    chan struct{} // capacity 1
	holders holders
}

// New returns a budget of limit bytes.
func New(limit int64) *Budget { return &Budget{limit: limit, over: make(chan struct{}, 1)} }

// Take counts n bytes for something new and reports whether there was room for them. If not, nothing is counted.
func (b *Budget) Take(n int) bool {
	if b == nil || b.used.Add(int64(n)) <= b.limit {
		return true
	}
	b.used.Add(-int64(n))
	b.refused.Add(1)
	b.raise()
	return false
}

// Add counts n bytes of something that is there already and cannot be refused.
func (b *Budget) Add(n int) {
	if b != nil && b.used.Add(int64(n)) > b.limit {
		b.raise()
	}
}

// Return uncounts n bytes, which Take or Add has counted.
func (b *Budget) Return(n int) {
	if b != nil {
		b.used.Add(-int64(n))
	}
}

// raise makes Over receive once.
func (b *Budget) raise() {
	select {
	case b.over <- struct{}{}:
	default:
	}
}

// Over receives after the limit was exceeded. One goroutine receives from it, and calls Relieve.
func (b *Budget) Over() <-chan struct{} {
	if b == nil {
		return nil
	}
	return b.over
}

// Excess returns how many bytes must be given back so that a sixteenth of the limit is free; at least 0. With some room
// left, what comes next does not exceed the limit at once.
func (b *Budget) Excess() int64 {
	if b == nil {
		return 0
	}
	return max(0, b.used.Load()-(b.limit-b.limit/16))
}

// Used returns how many bytes are counted.
func (b *Budget) Used() int64 {
	if b == nil {
		return 0
	}
	return b.used.Load()
}

// Limit returns the limit in bytes.
func (b *Budget) Limit() int64 {
	if b == nil {
		return 0
	}
	return b.limit
}

// Refused returns how often Take has refused.
func (b *Budget) Refused() int64 {
	if b == nil {
		return 0
	}
	return b.refused.Load()
}
