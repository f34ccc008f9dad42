package relay

import (
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/ramainen/doit-socket/internal/budget"
)

// errFull reports that the table is at its limit or closed.
var errFull = errors.New("relay: too many streams")

// A table holds the streams of a node that have not ended.
type table struct {
	limit int // of streams opened by this node, and also of streams opened by others; 0 means no limit
	peers *peers

	mu sync.Mutex // taken before the peers' mu; no other lock is taken under it
	// Guarded by mu.
	closed  bool
	lastID  uint64
	opened  map[uint64]*stream // those that this node has opened, by id
	streams map[key]*stream    // all
}

func newTable(limit int, p *peers) *table {
	return &table{limit: limit, peers: p, opened: make(map[uint64]*stream), streams: make(map[key]*stream)}
}

// open adds a stream that this node opens to the peer. It returns errFull at
// the limit, and once the table is closed.
func (t *table) open(node *local, peer string) (*stream, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.limit > 0 && len(t.opened) >= t.limit {
		return nil, errFull
	}
	t.lastID++
	s := newStream(node, key{peer, t.lastID, true})
	t.opened[s.id] = s
	t.add(s)
	return s, nil
}

// accept adds a stream that another node opens, if offer returns true for it. It reports whether
// the stream was added.
func (t *table) accept(node *local, k key, offer func(*stream) bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.streams[k] != nil || t.limit > 0 && len(t.streams)-len(t.opened) >= t.limit {
		return false
	}
	s := newStream(node, k)
	if !offer(s) {
		return false
	}
	t.add(s)
	return true
}

// add adds a stream. The caller holds mu.
func (t *table) add(s *stream) {
	t.streams[s.key] = s
	t.peers.add(s.peer)
}

// find returns the stream of a key, or nil.
func (t *table) find(k key) *stream {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.streams[k]
}

// findOpened returns the stream with this id that this node has opened, or nil. It does not look
// through all streams: a browser that invents ids of sessions makes one call for each.
func (t *table) findOpened(id uint64) *stream {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.opened[id]
}

// forget removes a stream that has ended. It ignores an unknown key.
func (t *table) forget(k key) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.streams[k] == nil {
		return
	}
	delete(t.streams, k)
	if k.opened {
		delete(t.opened, k.id)
	}
	t.peers.remove(k.peer)
}

// breakAll breaks the streams whose key matches, and tells their peers.
func (t *table) breakAll(why error, matches func(key) bool) {
	t.mu.Lock()
	var matching []*stream
	for k, s := range t.streams {
		if matches(k) {
			matching = append(matching, s)
		}
	}
	t.mu.Unlock()
	for _, s := range matching {
		s.fail(why, true)
	}
}

// holders returns the streams of which much waits for a slow browser, for [budget.Budget.Relieve].
func (t *table) holders() (list []budget.Holder) {
	t.mu.Lock()
	all := slices.Collect(maps.Values(t.streams))
	t.mu.Unlock()
	for _, s := range all {
		s.mu.Lock()
		charged := s.in.charged
		s.mu.Unlock()
		if charged > 0 {
			list = append(list, budget.Holder{Bytes: charged, Cut: func() { s.fail(errMemory, true) }})
		}
	}
	return list
}

// close makes open and accept refuse further streams.
func (t *table) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
}

// len returns how many streams the table holds.
func (t *table) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.streams)
}
