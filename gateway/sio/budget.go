package sio

import (
	"fmt"
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/ramainen/doit-socket/internal/clock"
	"github.com/ramainen/doit-socket/internal/visitor"
)

// maxDelay is how long a registration may wait for the budget. One that would wait longer is refused.
const maxDelay = 5 * time.Second

// A budget limits how many ids pages register. There is a bucket for each session, for each address and for the node.
// An id is new if no socket on this node holds it, so that NATS has to make a subscription. An id costs a token of its
// session. A new id also costs a token of its address and of the node. docs/decisions/0013 gives the reasons.
//
// The zero address is an address like any other: browsers that are exempt from the other limits per address share it.
//
// A budget is safe for concurrent use.
type budget struct {
	// Ids a second, in bursts of [visitor.Burst]; 0 means no limit.
	perSession, perAddress, perNode int

	addresses visitor.Buckets

	mu sync.Mutex
	// Guarded by mu.
	node     visitor.Bucket
	spending visitor.Spending // new ids
}

func newBudget(c Config) *budget {
	return &budget{perSession: c.MaxIDs, perAddress: c.MaxNewIDsPerAddress, perNode: c.MaxNewIDs}
}

// spend takes the tokens for a registration of ids, of which fresh are new. It returns how long the registration has to
// wait for them. If that is longer than maxDelay it returns an [*overBudget]: address and node then keep their tokens,
// and the session pays for the work of refusing. The caller guards the bucket of the session.
func (b *budget) spend(session *visitor.Bucket, address netip.Addr, ids, fresh int) (wait time.Duration, err error) {
	now := clock.Now()
	after, wait := session.After(now, b.perSession, ids)
	if wait > maxDelay {
		*session, _ = session.After(now, b.perSession, 1)
		return 0, &overBudget{reasonSessionRate, "this page has", wait}
	}
	*session = after
	b.mu.Lock()
	defer b.mu.Unlock()
	node, nodeWait := b.node.After(now, b.perNode, fresh)
	if nodeWait > maxDelay {
		return 0, &overBudget{reasonNodeRate, "all pages together have", nodeWait}
	}
	if b.tooMuch(address, now, fresh) {
		return 0, &overBudget{reasonNodeRate, "all pages together have", visitor.Burst}
	}
	addressWait := b.addresses.Borrow(address, b.perAddress, fresh, maxDelay)
	if addressWait > maxDelay {
		return 0, &overBudget{reasonAddressRate, "the pages of this address have", addressWait}
	}
	b.node = node
	b.spending.Add(address, now, fresh)
	return max(wait, nodeWait, addressWait), nil
}

// tooMuch reports whether an address would have spent more than the node has left. So addresses that together ask for
// more than the node has get equal parts of it, and a part is left for others: one rule for any number of them, as for
// emits (ingest/publish/admission.go). What one page may register at once is never too much. The caller holds mu.
func (b *budget) tooMuch(address netip.Addr, now int64, fresh int) bool {
	if b.perAddress == 0 || b.perNode == 0 || fresh == 0 {
		return false
	}
	share := max(b.node.Left(now, b.perNode), b.perSession*int(visitor.Burst/time.Second))
	return b.spending.Of(address, now)+float64(fresh) > float64(share)
}

// check returns an [*overBudget] if the session has not even a token for one id. So a session that goes on after it was
// refused is refused before its ids are decoded. check takes no token.
func (b *budget) check(session visitor.Bucket) error {
	if _, wait := session.After(clock.Now(), b.perSession, 1); wait > maxDelay {
		return &overBudget{reasonSessionRate, "this page has", wait}
	}
	return nil
}

// An overBudget is the error of a registration for which the budget is too small. The page gets its text.
type overBudget struct {
	reason string        // that the metric has
	who    string        // has spent the budget, and the verb
	wait   time.Duration // until there are tokens for the registration
}

func (e *overBudget) Error() string {
	return fmt.Sprintf("not registered: %s registered too many ids; try again in %.0f seconds", e.who, math.Ceil(e.wait.Seconds()))
}
