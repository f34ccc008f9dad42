package eio

import (
	"cmp"
	"slices"
)

// Relieve closes the sessions that hold the most bytes, one after the other,
// until the budget has room again. It returns how many it has closed.
func (srv *Server) Relieve() (closed int) {
	if srv.Budget.Excess() == 0 {
		return 0
	}
	type holder struct {
		session *Session
		bytes   int
	}
	var holders []holder
	for _, s := range srv.sessions.list() {
		s.mu.Lock()
		bytes := s.outbound.load()
		s.mu.Unlock()
		if bytes > 0 {
			holders = append(holders, holder{s, bytes})
		}
	}
	slices.SortFunc(holders, func(a, b holder) int { return cmp.Compare(b.bytes, a.bytes) })
	for _, h := range holders {
		if srv.Budget.Excess() == 0 {
			break
		}
		h.session.Close(ReasonMemory)
		closed++
	}
	return closed
}
