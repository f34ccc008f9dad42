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
	if s.protocol == 4 {
		s.beat = time.AfterFunc(s.server.PingInterval, s.onBeat)
	} else {
		s.beat = time.AfterFunc(s.patience(), s.onBeat)
	}
}

// patience is how long an EIO 2 or 3 browser may be silent. It pings by a timer
// of its own, which browsers run once a minute in a tab that has been in the
// background for a while; closed for that, an old page would come back without
// its registration. With the defaults it is 85 s, as Node's server of that time had it.
func (s *Session) patience() time.Duration {
	return s.server.PingInterval + 3*s.server.PingTimeout
}

func (s *Session) onBeat() {
	s.mu.Lock()
	if s.closed {
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
	s.beat.Reset(s.server.PingTimeout)
	s.mu.Unlock()
	s.Flush()
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
		s.beat.Reset(s.patience())
	case kind == packetPong && s.ping != 0 && s.taken-uint64(unwritten) >= s.ping:
		s.ping = 0
		s.beat.Reset(s.server.PingInterval)
	}
}
