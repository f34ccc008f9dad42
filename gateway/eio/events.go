package eio

import "runtime/debug"

// Events are what the layer above hears of sessions. For each session OnOpen
// comes first, then each message in order, then OnClose, once. Calls for one
// session never overlap. They may call any method of the session. A panic in
// one closes the session that met it, and no other.
type Events struct {
	OnOpen func(s *Session)
	// data is lent until the call returns.
	OnMessage func(s *Session, data []byte, binary bool)
	OnClose   func(s *Session, reason Reason)
	// OnRefuse, if there is one, hears of each browser that is turned away.
	OnRefuse func(why Refusal)
}

func (e *Events) opened(s *Session) {
	defer contain(s)
	e.OnOpen(s)
}

func (e *Events) received(s *Session, p packet) {
	defer contain(s)
	e.OnMessage(s, p.data, p.binary)
}

func (e *Events) closed(s *Session, reason Reason) {
	defer contain(s)
	e.OnClose(s, reason)
}

// contain turns a panic in the layer above into the end of the one session that met it.
func contain(s *Session) {
	if value := recover(); value != nil {
		s.closeByFault(value, debug.Stack())
	}
}

// closeByFault ends a session that met a panic.
func (s *Session) closeByFault(value any, stack []byte) {
	s.server.Log.Error("a session is closed: fault in a handler", "fault", value, "stack", string(stack))
	s.Close(ReasonPanicking)
}
