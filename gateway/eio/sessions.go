package eio

import "sync"

// sessions are those of a server, by id. It is safe for concurrent use; its
// lock is the innermost of the package.
type sessions struct {
	mu sync.Mutex
	// Guarded by mu.
	byID     map[string]*Session
	refusing bool // no new session begins
}

// add makes a session known. It returns false once no new one may begin.
func (ss *sessions) add(s *Session) bool {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.refusing {
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

// refuse lets no new session begin, and returns those that are there.
func (ss *sessions) refuse() []*Session {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.refusing = true
	all := make([]*Session, 0, len(ss.byID))
	for _, s := range ss.byID {
		all = append(all, s)
	}
	return all
}

func (ss *sessions) refuses() bool {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.refusing
}
