package eio

import (
	"sync"
	"time"
)

// aheadBytes is how much is written ahead to one websocket. What is larger
// gains nothing by it, and would make the call a long one.
const aheadBytes = 16 << 10

// WriteAhead hands what is queued for sessions on websockets to the kernel, in
// one call for many of them, where the system has such a call. A [Session.Flush]
// of each must follow: it does what is left, which may be all of it.
func (srv *Server) WriteAhead(sessions []*Session) {
	r := srv.rings.borrow()
	if r == nil {
		return
	}
	defer srv.rings.give(r)
	var sockets [ringSize]*wsConn
	for len(sessions) > 0 {
		n := 0
		for n < ringSize && len(sessions) > 0 {
			if socket := sessions[0].beginWrite(); socket != nil {
				r.add(socket.descriptor, socket.rest)
				sockets[n] = socket
				n++
			}
			sessions = sessions[1:]
		}
		if n == 0 {
			return
		}
		r.send()
		for i, socket := range sockets[:n] {
			socket.endWrite(r.sent(i))
		}
	}
}

// beginWrite moves small frames from the queue to the session's
// websocket, and returns that with its writer held; or nil, where it is for
// Flush to write, or there is nothing.
func (s *Session) beginWrite() *wsConn {
	socket := s.websocket()
	if socket == nil || socket.raw == nil || !socket.writer.TryLock() { // who waits for a second writer may wait for ever
		return nil
	}
	if len(socket.rest) == 0 && !socket.aborted {
		s.mu.Lock()
		if !s.closed && len(s.queue) > 0 && len(s.queue[0].wire) <= aheadBytes {
			socket.rest = join(s.take(aheadBytes))
		}
		s.mu.Unlock()
		if len(socket.rest) > 0 {
			return socket
		}
	}
	socket.writer.Unlock()
	return nil
}

// endWrite notes how much the kernel took, and gives the writer back.
func (c *wsConn) endWrite(sent int) {
	if c.took(sent); len(c.rest) > 0 {
		c.since = time.Now()
	}
	c.writer.Unlock()
}

// rings lends rings, as many as there are processors. The zero value is ready for use.
type rings struct {
	made   sync.Once // or are not to be
	closed sync.Once
	free   chan *ring
	all    []*ring
}

// borrow returns a ring, or nil if all are lent or the system has none.
func (r *rings) borrow() *ring {
	r.made.Do(func() {
		r.all = newRings()
		r.free = make(chan *ring, len(r.all))
		for _, one := range r.all {
			r.free <- one
		}
	})
	select {
	case one := <-r.free:
		return one
	default:
		return nil
	}
}

// give gives a ring back.
func (r *rings) give(one *ring) { r.free <- one }

// close closes the rings, when all have been given back. Nobody can borrow one
// then. Closing twice is fine.
func (r *rings) close() {
	r.closed.Do(func() {
		r.made.Do(func() {})
		for range r.all {
			(<-r.free).close()
		}
	})
}
