package eio

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
)

// A Session is one browser's Engine.IO connection, over polling, over a
// websocket, or on its way from the one to the other. All methods are safe
// for concurrent use.
//
// What the browser sends is handled in turns: Server.OnOpen, then each
// OnMessage in the order of arrival, then OnClose once, never two at a time.
// A close that comes in the middle of a turn is told after it.
type Session struct {
	// Data belongs to the layer above, which sets it in OnOpen.
	Data any

	server   *Server
	id       string
	address  netip.Addr // that it counts for, if it does
	protocol int        // 2, 3 or 4
	plain    bool       // EIO 2 and 3: the browser cannot take binary polling answers

	inbound sync.Mutex  // held through a turn
	frames  bucket      // guarded by inbound
	once    atomic.Bool // EIO 2 and 3: its text is encoded once, as is proper

	mu sync.Mutex
	// Guarded by mu.
	inTurn bool
	closed bool
	owed   bool   // though closed, it answers the browser's last poll
	reason Reason // why closed
	finish Reason // why it closes as soon as the queue is empty; nothing is queued any more
	queue  []*Frame
	queued uint64  // bytes ever queued; their number is a place in what the browser gets
	taken  uint64  // how many of them have left the queue
	ping   uint64  // EIO 4: the end of the ping that is out; 0 if none is
	socket *wsConn // nil while the transport is polling
	beat   *time.Timer
	due    int64 // when it has to run, by clock

	poll      chan []*Frame // the GET that waits, if one does
	posting   bool          // a POST is being handled
	upgrading bool          // a websocket asks to take over:
	probe     *wsConn       // this one, once its handshake is done
	probed    bool          // and it was answered: the browser is ending its polls
}

// ID returns the session id. Whoever knows it can speak for the session.
func (s *Session) ID() string { return s.id }

// Protocol returns the Engine.IO revision that the browser speaks: 2, 3 or 4.
func (s *Session) Protocol() int { return s.protocol }

// Close ends the session. The browser is told as its transport allows; what
// is queued is dropped. OnClose is called before Close returns, or, when a
// turn is being handled, right after it. Further calls do nothing.
func (s *Session) Close(reason Reason) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed, s.reason = true, reason
	tell := !s.inTurn
	socket, probe, poll := s.socket, s.probe, s.poll
	s.probe, s.poll, s.queue = nil, nil, nil
	if s.beat != nil {
		s.beat.Stop()
	}
	late := reason == ReasonClient && socket == nil && poll == nil
	if late {
		s.owed = true
		s.server.running.Add(1)
		time.AfterFunc(latePoll, func() {
			defer s.server.running.Done()
			s.server.forget(s)
		})
	}
	s.mu.Unlock()

	if !late {
		s.server.forget(s)
	}
	if poll != nil {
		if reason == ReasonClient {
			poll <- []*Frame{frameNoop}
		} else {
			poll <- []*Frame{frameClose}
		}
	}
	if probe != nil {
		probe.close(reason)
	}
	if socket != nil {
		socket.close(reason)
	}
	if tell {
		s.server.tellClose(s, reason)
	}
}

// begin takes the turn; it returns false, without it, when the session is closed.
func (s *Session) begin() bool {
	s.inbound.Lock()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		s.inbound.Unlock()
		return false
	}
	s.inTurn = true
	s.mu.Unlock()
	return true
}

// end gives the turn back, and tells a close that came while it was taken.
func (s *Session) end() {
	s.mu.Lock()
	s.inTurn = false
	closed, reason := s.closed, s.reason
	s.mu.Unlock()
	s.inbound.Unlock()
	if closed {
		s.server.tellClose(s, reason)
	}
}

// start runs f in a goroutine that the server waits for, unless the session is closed.
func (s *Session) start(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.server.running.Go(func() {
		defer s.server.contain(s)
		f()
	})
	return true
}

// turn handles one packet from the browser's current transport.
func (s *Session) turn(p packet) {
	if !s.begin() {
		return
	}
	defer s.end()
	if !s.frames.take(clock(), s.server.MaxFrames) {
		s.Close(ReasonFrames)
		return
	}
	s.heard(p.kind)
	legal := true
	switch p.kind {
	case packetMessage:
		s.server.tellMessage(s, p)
	case packetClose:
		s.Close(ReasonClient)
	case packetPing:
		legal = s.protocol < 4
		if legal {
			s.write(newFrame(packetPong, p.data))
		}
	case packetPong:
		legal = s.protocol == 4
	case socketPing:
		s.write(control(ws.OpPong, p.data))
	case packetNoop, packetUpgrade, socketFrame:
	default:
		legal = false
	}
	if !legal {
		s.Close(ReasonProtocol)
	}
}
