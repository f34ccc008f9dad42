package eio

import (
	"sync/atomic"
	"time"

	"github.com/ramainen/doit-socket/internal/budget"
)

// Holders returns the sessions for which bytes wait, or that have sent a part of
// a message, for [budget.Budget.Relieve]. Those that are cut are closed as
// [ReasonMemory].
func (srv *Server) Holders() (list []budget.Holder) {
	for _, s := range srv.sessions.list() {
		s.mu.Lock()
		waiting, k := s.outbound.load(), s.websocket.Load()
		if k == nil {
			k = s.upgrade.socket
		}
		s.mu.Unlock()
		incomplete := 0
		if k != nil {
			incomplete = k.conn.Incomplete()
		}
		if waiting+incomplete == 0 {
			continue
		}
		list = append(list, budget.Holder{
			Bytes: waiting + incomplete,
			Cut: func() {
				s.Close(ReasonMemory)
				if incomplete > 0 {
					k.conn.Abort() // at once: the reader then drops the part of the message
				}
			},
			Later: incomplete > 0,
		})
	}
	return list
}

// list makes the budget list an answer while it is written, so that it can be
// cut. deadline sets that of the writes.
func (p polling) list(bytes int, deadline func(time.Time) error, cut *atomic.Bool) (unlist func()) {
	return p.server.Budget.List(bytes, func() {
		cut.Store(true) // before the deadline: answer extends it, and then looks at cut
		_ = deadline(time.Unix(1, 0))
		p.Close(ReasonMemory)
	}).End
}
