package budget

import "sync"

// An Account is what one holder has taken from a budget. Its zero value is empty and has no budget. It is safe for
// concurrent use.
type Account struct {
	// Budget is set before the first use.
	Budget *Budget

	mu sync.Mutex
	// Guarded by mu.
	bytes  int
	closed bool
}

// Set makes the account hold n bytes in all. It reports false if the budget has no room for what is more than before, or
// if the account is closed; the account then holds what it held.
func (a *Account) Set(n int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.closed:
		return false
	case n > a.bytes:
		if !a.Budget.Take(n - a.bytes) {
			return false
		}
	default:
		a.Budget.Return(a.bytes - n)
	}
	a.bytes = n
	return true
}

// Close returns everything to the budget. It may be called more than once.
func (a *Account) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.Budget.Return(a.bytes)
	a.bytes, a.closed = 0, true
}
