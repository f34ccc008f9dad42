package eio

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/ramainen/doit-socket/internal/visitor"
)

// A Session is one browser's Engine.IO connection: on polling, on a websocket,
// or moving from polling to a websocket. All methods are safe for concurrent
// use.
//
//	from the browser   polling.go, websocket.go ──▶ inbound.go ──▶ Server.OnMessage
//	to the browser     Send ──▶ outbound.go;  Flush ──▶ websocket.go or polling.go
//	timers             heartbeat.go;  upgrade.go
//
// Its parts are types in the files of their names. One lock, mu, guards them
// all, because they change together. A websocket's writer is locked before mu.
// With mu held, only these are called: methods of the parts, Stop and Reset of
// timers, and sends to channels that have room.
type Session struct {
	// Data is for the layer above, which sets it in OnOpen.
	Data any

	server  *Server
	id      string
	address netip.Addr // that Admit returned
	codec   codec      // encodes and decodes its packets

	// websocket is the session's transport; nil while that is polling. It is set
	// once, with mu held after the session was opened.
	websocket atomic.Pointer[websocket]

	// turn is held while OnOpen runs or a packet from the browser is handled, so
	// calls of OnOpen and OnMessage do not overlap. OnClose is called after the
	// last turn. turn is taken before mu.
	turn   sync.Mutex
	frames visitor.Bucket // limits packets to MaxFrames; guarded by turn

	mu sync.Mutex
	// Guarded by mu.
	inTurn    bool // turn is held: endTurn calls OnClose, not Close
	state     state
	reason    Reason // why the session is finishing or closed
	outbound  outbound
	heartbeat heartbeat
	poll      poll
	upgrade   upgrade
}

// A transport carries a session's packets to its browser: polling or a
// *websocket.
type transport interface {
	// flush sends what is queued, and reports whether the session is open after it.
	flush() (open bool)
	// unwritten returns how many bytes have left the queue but have not been
	// written, so that the browser cannot have read them.
	unwritten() int
	// end is called once, with mu held, when the session closes. tell informs
	// the browser; it is called without mu. The session is released by tell, or
	// a moment later by a timer.
	end(Reason) (tell func())
}

// A state is the state of a session. It only grows.
type state byte

const (
	open      state = iota
	finishing       // nothing more is queued; the session closes when its queue is empty
	closed
)

// ID returns the session id. It is a secret: a request that has it is taken for
// the session's.
func (s *Session) ID() string { return s.id }

// Protocol returns the Engine.IO revision that the browser speaks: 2, 3 or 4.
func (s *Session) Protocol() int { return s.codec.protocol }

// Send queues a frame. It returns false if the session is finishing or closed.
// It does not write: a call of Flush must follow. The caller of Flush must not
// hold a lock that OnClose takes, because Flush may close the session.
func (s *Session) Send(f *Frame) bool {
	f = s.codec.forClient(f)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != open {
		return false
	}
	s.outbound.push(f)
	return true
}

// Flush writes what is queued to the websocket, or answers the waiting GET with
// it, and reports whether the session is open after it. It does not wait for
// the network: a background goroutine goes on where the kernel accepts no more.
//
// Frames that are left in the queue after a Flush are left because the kernel
// or the browser did not take them, not because the server was busy. If they
// exceed the limits of the queue, the browser is too slow: Flush closes the
// session.
func (s *Session) Flush() (open bool) { return s.transport().flush() }

// write queues one frame and flushes.
func (s *Session) write(f *Frame) {
	s.Send(f)
	s.Flush()
}

// Finish queues last, unless it is nil, and closes the session when the kernel
// or a poll has taken all that is queued. Later frames are not sent.
func (s *Session) Finish(last *Frame, reason Reason) {
	if last != nil {
		last = s.codec.forClient(last)
	}
	s.mu.Lock()
	if s.state == open {
		if last != nil {
			s.outbound.push(last)
		}
		s.state, s.reason = finishing, reason
	}
	s.mu.Unlock()
	s.Flush()
}

// Close closes the session and drops what is queued. It informs the browser if
// the transport permits. OnClose is called before Close returns, or, if OnOpen or
// OnMessage is running, right after that. Further calls do nothing.
func (s *Session) Close(reason Reason) {
	s.mu.Lock()
	if s.state == closed {
		s.mu.Unlock()
		return
	}
	s.state, s.reason = closed, reason
	inTurn, tell, probing := s.inTurn, s.transport().end(reason), s.upgrade.reset()
	s.outbound.clear(s.server.Budget)
	s.heartbeat.stop()
	s.mu.Unlock()

	tell()
	if probing != nil {
		probing.conn.Close(reason.closeCode(), string(reason))
	}
	if !inTurn {
		s.server.closed(s, reason)
	}
}

// transport returns the session's transport.
func (s *Session) transport() transport {
	if k := s.websocket.Load(); k != nil {
		return k
	}
	return polling{s}
}

// beginTurn waits for the turn and takes it. If the session is closed, it
// returns false and does not hold the turn.
func (s *Session) beginTurn() bool {
	s.turn.Lock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == closed {
		s.turn.Unlock()
		return false
	}
	s.inTurn = true
	return true
}

// endTurn releases the turn. If the session was closed during it, it calls
// OnClose.
func (s *Session) endTurn() {
	s.mu.Lock()
	s.inTurn = false
	over, reason := s.state == closed, s.reason
	s.mu.Unlock()
	s.turn.Unlock()
	if over {
		s.server.closed(s, reason)
	}
}
