package eio

import (
	"errors"
	"os"
	"time"
)

// batch is how many bytes of small frames are handed to the kernel in one
// write; a frame that is larger goes by itself, uncopied.
const batch = 64 << 10

// Send queues a frame and reports whether the session is open to it. It does
// not write: a call of Flush must follow, outside any lock that OnClose needs,
// and closes the session where more is queued than may stay.
func (s *Session) Send(f *Frame) bool {
	if s.protocol < 4 {
		f = f.ascii()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.enqueue(f)
}

// enqueue adds a frame to the queue, whatever its bound: only after a flush is
// it known what stays there. The caller holds mu.
func (s *Session) enqueue(f *Frame) bool {
	if s.closed || s.finish != "" {
		return false
	}
	s.queue = append(s.queue, f)
	s.queued += uint64(len(f.wire))
	return true
}

// over reports whether more is queued than a browser that keeps up leaves
// there. Two messages have room, whatever their size. The caller holds mu.
func (s *Session) over() bool {
	if len(s.queue) > s.server.QueueLength {
		return true
	}
	waits := s.queued - s.taken
	if waits <= uint64(s.server.QueueBytes) {
		return false
	}
	largest := 0
	for _, f := range s.queue {
		largest = max(largest, len(f.wire))
	}
	return waits > 2*uint64(largest)
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
	socket := s.socket
	if socket != nil {
		s.mu.Unlock()
		_, _, end, open := s.pump(socket, false)
		if end != "" {
			s.Close(end)
		}
		return open && end == ""
	}
	if s.poll != nil && len(s.queue) > 0 {
		s.poll <- s.takePoll()
		s.poll = nil
	}
	end := s.verdict(false)
	s.mu.Unlock()
	return s.conclude(end)
}

// Finish sends a last frame, if there is one, and closes the session as soon
// as the kernel or a poll has taken what is queued. Nothing is sent after it.
func (s *Session) Finish(last *Frame, reason Reason) {
	if last != nil && s.protocol < 4 {
		last = last.ascii()
	}
	s.mu.Lock()
	if last != nil {
		s.enqueue(last)
	}
	if s.finish == "" {
		s.finish = reason
	}
	s.mu.Unlock()
	s.Flush()
}

// write sends one frame on its way.
func (s *Session) write(f *Frame) {
	s.Send(f)
	s.Flush()
}

// verdict returns why the session has to close now, "" if it need not. The
// caller holds mu and, on a websocket, its writer.
func (s *Session) verdict(stuck bool) Reason {
	switch {
	case s.closed:
		return ""
	case s.finish != "" && len(s.queue) == 0 && !stuck:
		return s.finish
	case s.over():
		return ReasonSlow
	}
	return ""
}

// conclude closes the session if there is a reason, and reports whether it is open.
func (s *Session) conclude(end Reason) (open bool) {
	if end != "" {
		s.Close(end)
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.closed
}

// pump hands the queue to the kernel until it is empty or the kernel takes no
// more; then there is a goroutine, the carrier, that waits until it does. It
// returns whether the kernel is stuck, since when, why the session has to
// close, and whether it was open yet.
func (s *Session) pump(socket *wsConn, carrier bool) (stuck bool, since time.Time, end Reason, open bool) {
	socket.writer.Lock()
	defer socket.writer.Unlock()
	moved := false
	for {
		before := len(socket.rest)
		err := socket.tryWrite()
		moved = moved || len(socket.rest) < before
		s.mu.Lock()
		switch {
		case s.closed:
			s.mu.Unlock()
			return false, since, "", false
		case err != nil:
			s.mu.Unlock()
			return false, since, ReasonNetwork, true
		}
		stuck = len(socket.rest) > 0
		if stuck || len(s.queue) == 0 {
			break
		}
		socket.rest, moved = join(s.take(batch)), true
		s.mu.Unlock()
	}
	defer s.mu.Unlock()
	if moved && stuck {
		socket.since = time.Now()
	}
	if carrier {
		socket.carried = stuck
	} else if stuck && !socket.carried {
		socket.carried = true
		since := socket.since
		s.server.running.Go(func() { s.carry(socket, since) })
	}
	return stuck, socket.since, s.verdict(stuck), true
}

// carry is the carrier: it goes on until the kernel has everything, or has
// taken nothing for WriteTimeout.
func (s *Session) carry(socket *wsConn, since time.Time) {
	for {
		var stuck bool
		var end Reason
		latest := since
		pump := func(uintptr) (done bool) {
			stuck, latest, end, _ = s.pump(socket, true)
			return !stuck || latest != since || end != ""
		}
		err := socket.conn.SetWriteDeadline(since.Add(s.server.WriteTimeout))
		switch {
		case err != nil:
		case socket.raw != nil:
			err = socket.raw.Write(pump)
		case socket.window != nil:
			if err = socket.window.AwaitRoom(); err == nil {
				pump(0)
			}
		default:
			if err = socket.writeBatch(); err == nil {
				pump(0)
			}
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			// Judged before another try: the kernel may have some room that it
			// had all the time, too little to tell of.
			if socket.stuckSince(since) {
				end = ReasonSlow
			} else {
				pump(0) // others have written
			}
		case err != nil:
			end = ReasonNetwork
		}
		if !s.conclude(end) || !stuck {
			return
		}
		since = latest
	}
}

// take removes frames of about so many bytes from the queue, at least one. It
// keeps no array: an idle session must not hold on to its last burst. The
// caller holds mu.
func (s *Session) take(bytes int) []*Frame {
	n := 0
	for n < len(s.queue) && (n == 0 || bytes >= len(s.queue[n].wire)) {
		bytes -= len(s.queue[n].wire)
		s.taken += uint64(len(s.queue[n].wire))
		n++
	}
	frames := s.queue[:n:n]
	s.queue = s.queue[n:]
	if len(s.queue) == 0 {
		s.queue = nil
	}
	return frames
}

// takePoll empties the queue into the answer of a poll. The caller holds mu.
func (s *Session) takePoll() []*Frame {
	frames := s.queue
	s.queue, s.taken = nil, s.queued
	if s.finish != "" {
		frames = append(frames, frameClose)
	}
	return frames
}
