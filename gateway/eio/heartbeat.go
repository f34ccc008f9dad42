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
//
// A browser is judged in two waits:
//
//	expect ──▶ until grace before the limit ──▶ until the limit ──▶ Close
//	                                                ◀─┘ again, for grace, after a late timer
//
// When a process has stood still for longer than the limit, all timers run at
// once, before what has arrived meanwhile is read. A session is closed only after
// a wait that ended on time, so that was read.
type heartbeat struct {
	timer *time.Timer // calls Session.beat; nil before the session is open
	due   int64       // when the timer should run, by clock.Now
	limit int64       // when the expected sign of life is too late, by clock.Now
	last  bool        // the timer runs for the second wait
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

// expect arms the timer for a sign of life that has to come within the limit.
func (h *heartbeat) expect(limit, grace time.Duration) {
	h.limit, h.last = clock.Now()+int64(limit), false
	h.rearm(limit - min(grace, limit/2))
}

// secondWait begins the second wait, for the rest of the limit. If the timer was
// late, it is for grace.
func (h *heartbeat) secondWait(late, grace time.Duration) {
	wait := time.Duration(h.limit - clock.Now())
	if late > clock.Standstill {
		wait = grace
	}
	h.last = true
	h.rearm(max(wait, 0))
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

// grace is how long what arrived during a standstill may take to be read. It is
// 5 s with the default flags.
func (c *Config) grace() time.Duration { return max(time.Second, c.PingTimeout/4) }

// startHeartbeat starts the timer: for the first ping to the browser, or, in
// EIO 2 and 3, from it.
func (s *Session) startHeartbeat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == closed {
		return
	}
	s.heartbeat.start(s.server.PingInterval, s.beat)
	s.expectSign()
}

// expectSign gives the browser its whole time for the sign of life that is
// expected of it: a ping in EIO 2 and 3, or the answer to a ping in EIO 4. The
// caller holds mu.
func (s *Session) expectSign() {
	switch {
	case s.Protocol() != 4:
		s.heartbeat.expect(s.server.silenceLimit(), s.server.grace())
	case s.heartbeat.ping != 0:
		s.heartbeat.expect(s.server.PingTimeout, s.server.grace())
	}
}

// beat runs when the timer does: it sends a ping, or ends a session whose
// browser has been silent for too long. It does nothing before the due time,
// because a packet may have rearmed the timer while it fired.
func (s *Session) beat() {
	s.mu.Lock()
	h := &s.heartbeat
	late := h.overdue()
	var act func()
	switch {
	case s.state == closed || late < 0:
	case s.Protocol() == 4 && h.ping == 0:
		if s.state == open {
			s.outbound.push(framePing)
		}
		h.ping = s.outbound.queued
		// A late timer shortens the time to answer, but by a tenth at most.
		h.expect(s.server.PingTimeout-min(late, s.server.PingTimeout/10), s.server.grace())
		act = func() { s.Flush() }
	case s.poll.answering:
		// The browser has not read the ping before the answer that it gets.
		// WriteTimeout bounds how long it takes.
		s.expectSign()
	case !h.last || late > clock.Standstill:
		h.secondWait(late, s.server.grace())
	default:
		act = func() { s.Close(ReasonTimeout) }
	}
	s.mu.Unlock()
	if act != nil {
		act()
	}
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
		s.expectSign()
	case kind == packetPong && s.heartbeat.ping != 0 && s.outbound.taken-uint64(unwritten) >= s.heartbeat.ping:
		s.heartbeat.ping = 0
		s.heartbeat.rearm(s.server.PingInterval)
	}
}
