package eio

import (
	"errors"
	"net/netip"
	"os"
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
	inTurn   bool
	closed   bool
	reason   Reason // why closed, or with closed unset: why the next Flush closes,
	finish   bool   // but not before the queue is empty
	queue    []*Frame
	queued   int     // bytes in queue
	writing  bool    // somebody writes to socket; only they may
	socket   *wsConn // nil while the transport is polling
	awaiting bool    // EIO 4: a ping is out, its pong is not back
	beat     *time.Timer

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

// Send queues a frame and reports whether the session took it. It does not
// write: a call of Flush must follow, outside any lock that OnClose needs.
// A session whose queue is full takes nothing more and closes at that Flush.
func (s *Session) Send(f *Frame) bool { return s.send(f, "") }

// Finish sends a last frame and closes the session as soon as the network or a
// poll has taken what is queued. Nothing is sent after it.
func (s *Session) Finish(f *Frame, reason Reason) {
	s.send(f, reason)
	s.Flush()
}

func (s *Session) send(f *Frame, last Reason) bool {
	if s.protocol < 4 {
		f = f.ascii()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.reason != "" {
		return false
	}
	if len(s.queue) >= s.server.QueueLength || s.queued+len(f.wire) > s.server.QueueBytes && len(s.queue) > 0 {
		s.reason = ReasonSlow
		return false
	}
	s.queue = append(s.queue, f)
	s.queued += len(f.wire)
	s.reason, s.finish = last, last != ""
	return true
}

// Flush writes what is queued: to the websocket as far as the kernel takes it
// at once, the rest from a goroutine; or into the poll that waits. It never
// blocks on the network.
func (s *Session) Flush() {
	s.mu.Lock()
	for {
		switch {
		case s.closed:
			s.mu.Unlock()
			return
		case s.reason != "" && (!s.finish || len(s.queue) == 0 && !s.writing):
			reason := s.reason
			s.mu.Unlock()
			s.Close(reason)
			return
		case len(s.queue) == 0, s.writing:
			s.mu.Unlock()
			return
		case s.socket == nil:
			if s.poll == nil {
				s.mu.Unlock()
				return
			}
			s.poll <- s.take()
			s.poll = nil
			continue
		}
		s.writing = true
		socket, frames := s.socket, s.take()
		s.mu.Unlock()

		rest, err := socket.tryWrite(frames)
		if err != nil {
			s.Close(ReasonNetwork)
			return
		}
		if len(rest) > 0 {
			s.start(func() { s.writeRest(socket, rest) })
			return
		}
		s.mu.Lock()
		s.writing = false
	}
}

// writeRest carries on, blocking, where tryWrite could not, until the queue is empty.
func (s *Session) writeRest(socket *wsConn, rest []byte) {
	for {
		if err := socket.write(rest, s.server.WriteTimeout); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				s.Close(ReasonSlow)
			} else {
				s.Close(ReasonNetwork)
			}
			return
		}
		s.mu.Lock()
		frames := s.take()
		if len(frames) == 0 || s.closed {
			s.writing = false
			s.mu.Unlock()
			s.Flush()
			return
		}
		s.mu.Unlock()
		rest = join(frames)
	}
}

// take empties the queue. It keeps no array: an idle session must not hold on
// to its last burst. The caller holds mu.
func (s *Session) take() []*Frame {
	frames := s.queue
	s.queue, s.queued = nil, 0
	return frames
}

// write sends one frame on its way.
func (s *Session) write(f *Frame) {
	s.Send(f)
	s.Flush()
}

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
	socket, probe, poll, writing := s.socket, s.probe, s.poll, s.writing
	s.probe, s.poll = nil, nil
	s.take()
	if s.beat != nil {
		s.beat.Stop()
	}
	s.mu.Unlock()

	s.server.forget(s)
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
		if writing {
			socket.abort() // in the middle of a frame: there is no place for a close frame
		} else {
			socket.close(reason)
		}
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
	s.server.running.Go(f)
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
