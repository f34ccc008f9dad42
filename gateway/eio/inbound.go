package eio

import "github.com/ramainen/doit-socket/internal/clock"

// receive handles one packet from the browser, in a turn of its own. It closes
// the session if the packet exceeds MaxFrames or violates the protocol.
func (s *Session) receive(p packet) {
	if !s.beginTurn() {
		return
	}
	defer s.endTurn()
	if s.frames.Take(clock.Now(), s.server.MaxFrames) > 0 {
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
