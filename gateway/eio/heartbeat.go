package eio

import "time"

// startHeartbeat arms the session's one timer.
//
// EIO 4: the server pings, the browser answers. EIO 2 and 3: the browser
// pings, and the server waits for it.
func (s *Session) startHeartbeat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	wait := s.patience()
	if s.protocol == 4 {
		wait = s.server.PingInterval
	}
	s.due = clock() + int64(wait)
	s.beat = time.AfterFunc(wait, s.onBeat)
}

// beatIn has onBeat called after a time anew. The caller holds mu.
func (s *Session) beatIn(wait time.Duration) {
	s.due = clock() + int64(wait)
	s.beat.Reset(wait)
}

// patience is how long an EIO 2 or 3 browser may be silent. It pings by a timer
// of its own, which browsers run once a minute in a tab that has been in the
// background for a while; closed for that, an old page would come back without
// its registration. With the defaults it is 85 s, as Node's server of that time had it.
func (s *Session) patience() time.Duration {
	return s.server.PingInterval + 3*s.server.PingTimeout
}

// onBeat sends a ping, or ends a session that owes a sign of life. Before the
// time it does nothing: a sign may have come in the moment in which the timer ran.
func (s *Session) onBeat() {
	s.mu.Lock()
	late := time.Duration(clock() - s.due)
	if s.closed || late < 0 {
		s.mu.Unlock()
		return
	}
	if s.protocol != 4 || s.ping != 0 {
		s.mu.Unlock()
		s.Close(ReasonTimeout)
		return
	}
	s.enqueue(framePing)
	s.ping = s.queued
	// What a busy machine is late is not the browser's to have, unless it is much.
	s.beatIn(s.server.PingTimeout - min(late, s.server.PingTimeout/10))
	s.mu.Unlock()
	s.Flush()
}

// beatIfDue is for a poll that comes before a timer that is late.
func (s *Session) beatIfDue() {
	s.mu.Lock()
	due := s.beat != nil && clock() >= s.due
	s.mu.Unlock()
	if due {
		s.onBeat()
	}
}

// heard notes a sign of life. In EIO 4 only the answer to a ping is one, and
// only once the kernel or a poll has that: a browser gains nothing by sending
// pongs unasked, without reading.
func (s *Session) heard(kind byte) {
	unwritten := 0
	if socket := s.websocket(); socket != nil && kind == packetPong {
		socket.writer.Lock() // it can answer before whoever writes has counted that
		unwritten = socket.unwritten()
		socket.writer.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
	case s.protocol != 4:
		s.beatIn(s.patience())
	case kind == packetPong && s.ping != 0 && s.taken-uint64(unwritten) >= s.ping:
		s.ping = 0
		s.beatIn(s.server.PingInterval)
	}
}
