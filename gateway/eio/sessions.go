package eio

import (
	"maps"
	"slices"
	"sync"
)

// sessions holds a server's sessions by id. It is safe for concurrent use. Its
// lock is the innermost of the package.
type sessions struct {
	mu sync.Mutex
	// Guarded by mu.
	byID   map[string]*Session
	closed bool // add accepts no new session
}

// add adds a session. It returns false if no new session may begin.
func (ss *sessions) add(s *Session) bool {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.closed {
		return false
	}
	ss.byID[s.id] = s
	return true
}

func (ss *sessions) get(id string) *Session {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.byID[id]
}

func (ss *sessions) remove(s *Session) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	delete(ss.byID, s.id)
}

func (ss *sessions) count() int {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return len(ss.byID)
}

// stopAccepting makes add refuse new sessions, and returns the present ones.
func (ss *sessions) stopAccepting() []*Session {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.closed = true
	return slices.Collect(maps.Values(ss.byID))
}

// list returns the present sessions.
func (ss *sessions) list() []*Session {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return slices.Collect(maps.Values(ss.byID))
}

// stopped reports whether stopAccepting has been called.
func (ss *sessions) stopped() bool {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.closed
}
