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

// patience is how long an EIO 2 or 3 browser may be silent.
func (s *Session) patience() time.Duration {
	return s.server.PingInterval + s.server.PingTimeout
}

func (s *Session) onBeat() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	if s.protocol != 4 || s.awaiting {
		s.mu.Unlock()
		s.Close(ReasonTimeout)
		return
	}
	s.awaiting = true
	s.beat.Reset(s.server.PingTimeout)
	s.mu.Unlock()
	s.write(framePing)
}

// heard notes a sign of life. In EIO 4 only the answer to a ping is one: a
// browser that sends pongs unasked gains nothing.
func (s *Session) heard(kind byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
	case s.protocol != 4:
		s.beat.Reset(s.patience())
	case kind == packetPong && s.awaiting:
		s.awaiting = false
		s.beat.Reset(s.server.PingInterval)
	}
}
