package eio

import (
	"sync"

	"github.com/ramainen/doit-socket/internal/clock"
	"github.com/ramainen/doit-socket/internal/visitor"
)

// An inbound lets what the browser sends be handled in turns: Server.OnOpen,
// then each OnMessage in the order of arrival, then OnClose once, never two at
// a time. A close that comes in the middle of a turn is told after it.
type inbound struct {
	turn   sync.Mutex     // held through a turn, and taken before Session.mu
	frames visitor.Bucket // what may still come; guarded by turn

	busy bool // a turn is being handled; guarded by Session.mu
}

// begin takes the turn. It returns false, without it, when the session is closed.
func (s *Session) begin() bool {
	s.inbound.turn.Lock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == closed {
		s.inbound.turn.Unlock()
		return false
	}
	s.inbound.busy = true
	return true
}

// end gives the turn back, and tells a close that came while it was taken.
func (s *Session) end() {
	s.mu.Lock()
	s.inbound.busy = false
	over, reason := s.state == closed, s.reason
	s.mu.Unlock()
	s.inbound.turn.Unlock()
	if over {
		s.server.closed(s, reason)
	}
}

// receive handles one packet from the browser's current transport.
func (s *Session) receive(p packet) {
	if !s.begin() {
		return
	}
	defer s.end()
	if s.inbound.frames.Take(clock.Now(), s.server.MaxFrames) > 0 {
		s.Close(ReasonFrames)
		return
	}
	s.heard(p.kind)
	legal := true
	switch p.kind {
	case packetMessage:
		s.server.received(s, p)
	case packetClose:
		s.Close(ReasonClient)
	case packetPing:
		legal = s.Protocol() < 4
		if legal {
			s.write(newFrame(packetPong, p.data))
		}
	case packetPong:
		legal = s.Protocol() == 4
	case websocketPing:
		s.write(pongFrame(p.data))
	case packetNoop, packetUpgrade, countedOnly:
	default:
		legal = false
	}
	if !legal {
		s.Close(ReasonProtocol)
	}
}
