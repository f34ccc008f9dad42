package eio

import (
	"net/netip"
	"sync"
)

// A Session is one browser's Engine.IO connection, over polling, over a
// websocket, or on its way from the one to the other. All methods are safe
// for concurrent use.
//
//	what the browser sends     polling.go, websocket.go ──▶ inbound.go ──▶ Server.OnMessage
//	what the browser gets      Send ──▶ outbound.go;  Flush ──▶ websocket.go, or polling.go
//	what happens by itself     heartbeat.go;  upgrade.go
//
// It is composed of parts. Those that change together are guarded by one lock,
// mu; each is a type in the file of its name. Where a websocket's writer and
// mu are both taken, the writer is first. Nothing is called with mu held but
// the parts, timers' Stop and Reset, and channels that have room.
type Session struct {
	// Data belongs to the layer above, which sets it in OnOpen.
	Data any

	server  *Server
	id      string
	address netip.Addr // that it is admitted for
	codec   codec      // how its packets are written in payloads
	inbound inbound    // has its own lock

	mu sync.Mutex
	// Guarded by mu.
	state     state
	reason    Reason // why it closes or is closed
	outbound  outbound
	heartbeat heartbeat
	poll      poll
	upgrade   upgrade
	socket    *websocket // the transport; nil while that is polling
}

// A state is how far a session is in its life. It only grows.
type state byte

const (
	open     state = iota
	finishes       // it closes as soon as the queue is empty; nothing more is queued
	closed
)

// ID returns the session id. Whoever knows it can speak for the session.
func (s *Session) ID() string { return s.id }

// Protocol returns the Engine.IO revision that the browser speaks: 2, 3 or 4.
func (s *Session) Protocol() int { return s.codec.protocol }

// Send queues a frame and reports whether the session is open to it. It does
// not write: a call of Flush must follow, outside any lock that OnClose needs,
// and closes the session where more is queued than may stay.
func (s *Session) Send(f *Frame) bool {
	f = s.codec.spell(f)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != open {
		return false
	}
	s.outbound.push(f)
	return true
}

// Flush hands what is queued to the kernel, or to the poll that waits, and
// reports whether the session is open after it. It never waits for the
// network: what the kernel does not take, a goroutine carries on with.
//
// What is left in the queue after a Flush is there because kernel or browser
// do not take it, never because the server was busy; if that is more than the
// queue's bound, the browser is slow, and the session closes.
func (s *Session) Flush() (open bool) {
	s.mu.Lock()
	if socket := s.socket; socket != nil {
		s.mu.Unlock()
		return socket.flush()
	}
	end := polling{s}.flushPoll()
	over := s.state == closed
	s.mu.Unlock()
	if end != "" {
		s.Close(end)
		return false
	}
	return !over
}

// write sends one frame on its way.
func (s *Session) write(f *Frame) {
	s.Send(f)
	s.Flush()
}

// Finish sends a last frame, if there is one, and closes the session as soon
// as the kernel or a poll has taken what is queued. Nothing is sent after it.
func (s *Session) Finish(last *Frame, reason Reason) {
	if last != nil {
		last = s.codec.spell(last)
	}
	s.mu.Lock()
	if s.state == open {
		if last != nil {
			s.outbound.push(last)
		}
		s.state, s.reason = finishes, reason
	}
	s.mu.Unlock()
	s.Flush()
}

// Close ends the session. The browser is told as its transport allows; what
// is queued is dropped. OnClose is called before Close returns, or, when a
// turn is being handled, right after it. Further calls do nothing.
func (s *Session) Close(reason Reason) {
	s.mu.Lock()
	if s.state == closed {
		s.mu.Unlock()
		return
	}
	s.state, s.reason = closed, reason
	tell := !s.inbound.busy
	socket, probe, waiting := s.socket, s.upgrade.end(), s.poll.end()
	s.outbound.takeAll()
	s.heartbeat.stop()
	late := reason == ReasonClient && socket == nil && waiting == nil
	if late {
		polling{s}.answerLatePoll()
	}
	s.mu.Unlock()

	if !late {
		s.server.forget(s)
	}
	if waiting != nil {
		if reason == ReasonClient {
			waiting <- []*Frame{frameNoop}
		} else {
			waiting <- []*Frame{frameClose}
		}
	}
	if probe != nil {
		probe.conn.Close(reason.closeCode(), string(reason))
	}
	if socket != nil {
		socket.conn.Close(reason.closeCode(), string(reason))
	}
	if tell {
		s.server.closed(s, reason)
	}
}

// transport returns the session's websocket, nil while the transport is polling.
func (s *Session) transport() *websocket {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.socket
}
