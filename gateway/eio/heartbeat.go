package eio

import (
	"time"

	"github.com/ramainen/doit-socket/internal/clock"
)

// A heartbeat detects that a session's browser is gone. It has the session's
// only timer. It is guarded by Session.mu.
//
// EIO 4: the server sends pings, and the browser answers. EIO 2 and 3: the
// browser sends pings, and the server answers.
type heartbeat struct {
	timer *time.Timer // calls Session.beat; nil before the session is open
	due   int64       // when the timer should run, by clock.Now
	ping  uint64      // EIO 4: outbound.queued just after the unanswered ping was queued; 0 if there is none
}

// start arms the timer for the first time.
func (h *heartbeat) start(wait time.Duration, beat func()) {
	h.due = clock.Now() + int64(wait)
	h.timer = time.AfterFunc(wait, beat)
}

// rearm arms the timer again.
func (h *heartbeat) rearm(wait time.Duration) {
	h.due = clock.Now() + int64(wait)
	h.timer.Reset(wait)
}

// overdue returns how long ago the timer should have run; it is negative before
// that time.
func (h *heartbeat) overdue() time.Duration { return time.Duration(clock.Now() - h.due) }

func (h *heartbeat) stop() {
	if h.timer != nil {
		h.timer.Stop()
	}
}

// silenceLimit is how long an EIO 2 or 3 browser may send nothing. It sends
// pings by its own timer, which browsers slow down to once a minute in
// background tabs. A page closed for that would reconnect, and old pages do not
// register again. With the default flags it is 85 s, as in the Node server of
// these clients.
func (c *Config) silenceLimit() time.Duration { return c.PingInterval + 3*c.PingTimeout }

// startHeartbeat starts the timer: for the first ping to the browser, or, in
// EIO 2 and 3, from it.
func (s *Session) startHeartbeat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == closed {
		return
	}
	wait := s.server.silenceLimit()
	if s.Protocol() == 4 {
		wait = s.server.PingInterval
	}
	s.heartbeat.start(wait, s.beat)
}

// beat runs when the timer does: it sends a ping, or ends a session whose
// browser has been silent for too long. It does nothing before the due time,
// because a packet may have rearmed the timer while it fired.
func (s *Session) beat() {
	s.mu.Lock()
	late := s.heartbeat.overdue()
	if s.state == closed || late < 0 {
		s.mu.Unlock()
		return
	}
	if s.Protocol() != 4 || s.heartbeat.ping != 0 {
		s.mu.Unlock()
		s.Close(ReasonTimeout)
		return
	}
	if s.state == open {
		s.outbound.push(framePing)
	}
	s.heartbeat.ping = s.outbound.queued
	// A late timer shortens the time to answer, but by a tenth at most.
	s.heartbeat.rearm(s.server.PingTimeout - min(late, s.server.PingTimeout/10))
	s.mu.Unlock()
	s.Flush()
}

// beatIfDue calls beat if its timer is overdue. A poll calls it, so that it is
// judged by the time and not by when a busy machine runs the timer.
func (s *Session) beatIfDue() {
	s.mu.Lock()
	due := s.heartbeat.timer != nil && s.heartbeat.overdue() >= 0
	s.mu.Unlock()
	if due {
		s.beat()
	}
}

// heard rearms the timer after a packet from the browser. In EIO 2 and 3 every
// packet counts. In EIO 4 only a pong counts, and only if the kernel or a poll
// has taken the ping: a browser that does not read cannot stay by sending pongs.
func (s *Session) heard(kind byte) {
	unwritten := 0
	if kind == packetPong {
		unwritten = s.transport().unwritten() // before mu: the websocket's writer is locked first
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.state == closed:
	case s.Protocol() != 4:
		s.heartbeat.rearm(s.server.silenceLimit())
	case kind == packetPong && s.heartbeat.ping != 0 && s.outbound.taken-uint64(unwritten) >= s.heartbeat.ping:
		s.heartbeat.ping = 0
		s.heartbeat.rearm(s.server.PingInterval)
	}
}
