package eio

import (
	"time"

	"github.com/ramainen/doit-socket/internal/clock"
)

// A heartbeat knows when a session has to hear from its browser. It has the
// session's one timer. It is guarded by Session.mu.
//
// EIO 4: the server pings, the browser answers. EIO 2 and 3: the browser
// pings, and the server waits for it.
type heartbeat struct {
	timer *time.Timer // calls Session.beat; nil before the session is open
	due   int64       // when it has to run, by clock.Now
	ping  uint64      // EIO 4: the end of the ping that is out, a place in outbound; 0 if none is
}

// start arms the timer for the first time.
func (h *heartbeat) start(wait time.Duration, beat func()) {
	h.due = clock.Now() + int64(wait)
	h.timer = time.AfterFunc(wait, beat)
}

// again arms the timer anew.
func (h *heartbeat) again(wait time.Duration) {
	h.due = clock.Now() + int64(wait)
	h.timer.Reset(wait)
}

// late returns how long ago the timer had to run; it is negative before that.
func (h *heartbeat) late() time.Duration { return time.Duration(clock.Now() - h.due) }

func (h *heartbeat) stop() {
	if h.timer != nil {
		h.timer.Stop()
	}
}

// patience is how long an EIO 2 or 3 browser may be silent. It pings by a timer
// of its own, which browsers run once a minute in a tab that has been in the
// background for a while; closed for that, an old page would come back without
// its registration. With the defaults it is 85 s, as in Node's server of that time.
func (c *Config) patience() time.Duration { return c.PingInterval + 3*c.PingTimeout }

// startHeartbeat begins to expect something of the browser.
func (s *Session) startHeartbeat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == closed {
		return
	}
	wait := s.server.patience()
	if s.Protocol() == 4 {
		wait = s.server.PingInterval
	}
	s.heartbeat.start(wait, s.beat)
}

// beat sends a ping, or ends a session that owes a sign of life. Before the
// time it does nothing: a sign may have come in the moment in which the timer ran.
func (s *Session) beat() {
	s.mu.Lock()
	late := s.heartbeat.late()
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
	// By how much a busy machine is late is not taken from the browser, unless it is much.
	s.heartbeat.again(s.server.PingTimeout - min(late, s.server.PingTimeout/10))
	s.mu.Unlock()
	s.Flush()
}

// beatIfDue is for a poll that comes before a timer that is late.
func (s *Session) beatIfDue() {
	s.mu.Lock()
	due := s.heartbeat.timer != nil && s.heartbeat.late() >= 0
	s.mu.Unlock()
	if due {
		s.beat()
	}
}

// heard notes a sign of life. In EIO 4 only the answer to a ping is one, and
// only once the kernel or a poll has that: a browser gains nothing by sending
// pongs unasked, without reading.
func (s *Session) heard(kind byte) {
	unwritten := 0
	if kind == packetPong {
		if socket := s.transport(); socket != nil {
			unwritten = socket.conn.Unwritten() // before mu: the writer is taken first
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.state == closed:
	case s.Protocol() != 4:
		s.heartbeat.again(s.server.patience())
	case kind == packetPong && s.heartbeat.ping != 0 && s.outbound.taken-uint64(unwritten) >= s.heartbeat.ping:
		s.heartbeat.ping = 0
		s.heartbeat.again(s.server.PingInterval)
	}
}
