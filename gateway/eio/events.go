package eio

import (
	"net/http"
	"runtime/debug"
)

// Events are the callbacks of a [Server]. For each session OnOpen comes first,
// then OnMessage for each message in order, then OnClose once. Calls for one
// session never overlap. A callback may call any method of the session. A panic
// in a callback closes that session only.
type Events struct {
	OnOpen func(s *Session)
	// OnMessage is called with data that is valid until it returns.
	OnMessage func(s *Session, data []byte, binary bool)
	OnClose   func(s *Session, reason Reason)
	// OnRefuse, if set, is called for each browser that is turned away, from any
	// goroutine.
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

// turnAway answers a handshake that is refused for the reason why. The body has
// the form that Node's server sends when its allowRequest refuses.
func (e *Events) turnAway(w http.ResponseWriter, why Refusal) {
	if e.OnRefuse != nil {
		e.OnRefuse(why)
	}
	r := refusals[why]
	if r.retryAfter != "" {
		w.Header().Set("Retry-After", r.retryAfter)
	}
	answerError(w, r.status, protocolError{codeForbidden, r.message})
}

// contain recovers from a panic in a callback: only this session ends.
func contain(s *Session) {
	if value := recover(); value != nil {
		s.closeByFault(value, debug.Stack())
	}
}

// closeByFault logs a panic and ends the session in whose callback it happened.
func (s *Session) closeByFault(value any, stack []byte) {
	s.server.Log.Error("session closed: panic in a handler", "fault", value, "stack", string(stack))
	s.Close(ReasonPanicking)
}
