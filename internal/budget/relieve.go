package budget

import (
	"cmp"
	"slices"
	"sync"
)

// LeastCut is how many bytes a holder must have to be cut by [Budget.Relieve]. What fills the memory otherwise, in holders that cannot be
// cut or in very many small ones, must not cost everybody who has a little.
const LeastCut = 16 << 10

// A Holder holds bytes of a budget and can give them back.
type Holder struct {
	// Bytes is how many bytes it holds. A frame that many queues share counts in each of them.
	Bytes int
	// Cut makes it give them back. It does not wait. It may be called when the bytes are returned already.
	Cut func()
	// Later says that the bytes are returned soon after Cut, by another goroutine, and not before Cut returns.
	Later bool
}

// holders are those that [Budget.Relieve] can cut.
type holders struct {
	mu sync.Mutex
	// Guarded by mu.
	lists    []func() []Holder
	listings map[*Listing]struct{}
}

// AddHolders makes Relieve call list for some of the holders. A list is for many holders that hold something now and
// then. It must be safe for concurrent use.
func (b *Budget) AddHolders(list func() []Holder) {
	if b == nil {
		return
	}
	b.holders.mu.Lock()
	defer b.holders.mu.Unlock()
	b.holders.lists = append(b.holders.lists, list)
}

// A Listing is a holder that Relieve can cut from List to End. It is safe for concurrent use.
type Listing struct {
	budget *Budget
	bytes  int // does not change

	mu  sync.Mutex // held while cut runs; no other lock is taken before it
	cut func()     // nil after End; guarded by mu
}

// List adds a holder of so many bytes, which are returned some time after cut. cut does not wait, and is not called after
// End has returned.
func (b *Budget) List(bytes int, cut func()) *Listing {
	l := &Listing{budget: b, bytes: bytes, cut: cut}
	if b != nil {
		b.holders.mu.Lock()
		defer b.holders.mu.Unlock()
		if b.holders.listings == nil {
			b.holders.listings = make(map[*Listing]struct{})
		}
		b.holders.listings[l] = struct{}{}
	}
	return l
}

// End removes the holder. It waits while cut runs. A nil Listing has ended.
func (l *Listing) End() {
	if l == nil || l.budget == nil {
		return
	}
	l.budget.holders.mu.Lock()
	delete(l.budget.holders.listings, l)
	l.budget.holders.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = nil
}

func (l *Listing) cutNow() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut != nil {
		l.cut()
	}
}

// Relieve cuts holders of at least [LeastCut] bytes, those of the most bytes first, until [Budget.Excess] is zero. It
// returns how many it has cut.
func (b *Budget) Relieve() (cut int) {
	if b.Excess() == 0 {
		return 0
	}
	all := b.holders.all()
	slices.SortFunc(all, func(x, y Holder) int { return cmp.Compare(y.Bytes, x.Bytes) })
	later := int64(0)
	for _, h := range all {
		if h.Bytes < LeastCut || b.Excess() <= later {
			break
		}
		h.Cut()
		cut++
		if h.Later {
			later += int64(h.Bytes)
		}
	}
	return cut
}

func (hs *holders) all() (all []Holder) {
	hs.mu.Lock()
	for l := range hs.listings {
		all = append(all, Holder{Bytes: l.bytes, Cut: l.cutNow, Later: true})
	}
	lists := slices.Clone(hs.lists)
	hs.mu.Unlock()
	for _, list := range lists {
		all = append(all, list()...)
	}
	return all
}
