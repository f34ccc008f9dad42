package ws

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// batch is how many bytes the background writer writes at a time to a
// connection without non-blocking writes.
const batch = 64 << 10

// A writer is the writing side of a connection. Its lock is held while bytes
// are copied to the kernel, not while a write waits for the network. The
// exception is writeNow on a connection without non-blocking writes: that waits
// for up to closeGrace.
type writer struct {
	mu sync.Mutex
	// Guarded by mu.
	aborted    bool      // the descriptor may already belong to another connection
	unsent     []byte    // what Next returned and the kernel has not accepted
	background bool      // a background writer waits until the kernel accepts more
	progress   time.Time // when the kernel last accepted bytes and left some unsent
}

// Flush writes what [Handler.Next] returns, until Next returns nothing or the
// kernel accepts no more. In the latter case a goroutine, the background
// writer, goes on once the kernel accepts bytes again. Flush does not wait for
// the network. It returns the error of Next or of the write; the caller then
// closes the connection.
func (c *Conn) Flush() error {
	_, _, err := c.flush(false)
	return err
}

// flush is Flush. background says that the background writer is the caller. It
// also returns whether the kernel left bytes unsent, and when it last accepted
// some.
func (c *Conn) flush(background bool) (stuck bool, since time.Time, err error) {
	w := &c.out
	w.mu.Lock()
	defer w.mu.Unlock()
	moved := false
	for {
		before := len(w.unsent)
		if err := w.tryWrite(&c.net); err != nil {
			return false, since, err
		}
		moved = moved || len(w.unsent) < before
		stuck = len(w.unsent) > 0
		next, err := c.handler.Next(!stuck)
		if err != nil {
			return false, since, err
		}
		if stuck || len(next) == 0 {
			break
		}
		w.unsent, moved = next, true
	}
	if moved && stuck {
		w.progress = time.Now()
	}
	since = w.progress
	if background {
		w.background = stuck
	} else if stuck && !w.background {
		latest := since // a closure over the result would move it to the heap in each flush
		w.background = c.server.begin(func() { c.writeInBackground(latest) })
	}
	return stuck, since, nil
}

// writeInBackground is the background writer. It runs until nothing is unsent,
// or the kernel has accepted nothing for WriteTimeout. since is when the kernel
// last accepted bytes.
func (c *Conn) writeInBackground(since time.Time) {
	defer func() { c.contain(recover()) }()
	for {
		latest, stuck, err := c.awaitAndFlush(since)
		if err != nil {
			c.handler.Failed(err)
			return
		}
		if !stuck {
			return
		}
		since = latest
	}
}

// awaitAndFlush waits until the kernel accepts bytes, and flushes. since is
// when it last accepted some. It returns the same moment after the flush.
func (c *Conn) awaitAndFlush(since time.Time) (latest time.Time, stuck bool, err error) {
	flush := func() { stuck, latest, err = c.flush(true) }
	waited := c.net.SetWriteDeadline(since.Add(c.server.WriteTimeout))
	switch {
	case waited != nil:
	case c.net.nonblocking():
		waited = c.net.awaitRoom(func() (done bool) {
			flush()
			return !stuck || latest != since || err != nil
		})
	default:
		if waited = c.out.writeBatch(&c.net); waited == nil {
			flush()
		}
	}
	switch {
	case errors.Is(waited, os.ErrDeadlineExceeded):
		// Check before the next attempt: the kernel may have had a little room
		// all along, too little to report the connection as writable.
		if c.out.stuckSince(since) {
			return latest, true, ErrSlow
		}
		flush() // another Flush has made progress
	case waited != nil:
		return latest, true, waited
	}
	return latest, stuck, err
}

// tryWrite writes as many unsent bytes as the connection accepts without
// blocking. The caller holds mu.
func (w *writer) tryWrite(c *netConn) error {
	if len(w.unsent) == 0 {
		return nil
	}
	if w.aborted {
		return net.ErrClosed
	}
	n, err := c.tryWrite(w.unsent)
	w.advance(n)
	return err
}

// stuckSince reports whether bytes are unsent and the kernel has accepted none
// since then.
func (w *writer) stuckSince(then time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.unsent) > 0 && w.progress.Equal(then)
}

// writeBatch writes the next batch on a connection without non-blocking writes.
// Only the background writer calls it. It blocks, so mu must not be held.
func (w *writer) writeBatch(c *netConn) error {
	w.mu.Lock()
	begin := w.unsent[:min(len(w.unsent), batch)]
	w.mu.Unlock()
	if _, err := c.Write(begin); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.advance(min(len(begin), len(w.unsent))) // a close drops what is unsent
	w.progress = time.Now()
	return nil
}

// Unwritten returns how many of the bytes that [Handler.Next] returned have not
// been written, so that the browser cannot have read them. On a connection
// without non-blocking writes it is a lower bound.
func (c *Conn) Unwritten() int {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if !c.net.nonblocking() {
		return max(0, len(c.out.unsent)-batch) // writeBatch may be writing one
	}
	return len(c.out.unsent)
}

// advance drops n bytes, which have been written. The caller holds mu.
func (w *writer) advance(n int) {
	if w.unsent = w.unsent[n:]; len(w.unsent) == 0 {
		w.unsent = nil
	}
}

// WriteNow writes a small frame unless other bytes are still unsent. It reports
// whether all of the frame was written.
func (c *Conn) WriteNow(frame []byte) bool {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return c.out.writeNow(&c.net, frame)
}

// writeNow is [Conn.WriteNow] for a caller that holds mu.
func (w *writer) writeNow(c *netConn, frame []byte) bool {
	if len(w.unsent) > 0 {
		return false
	}
	if !c.nonblocking() {
		_ = c.SetWriteDeadline(time.Now().Add(closeGrace))
		_, err := c.Write(frame)
		return err == nil
	}
	w.unsent = frame
	return w.tryWrite(c) == nil && len(w.unsent) == 0
}

// writeLast writes the connection's last frame and drops what is unsent. sent
// reports whether the frame was written, stuck whether earlier bytes were
// unsent.
func (w *writer) writeLast(c *netConn, frame []byte) (sent, stuck bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	stuck = len(w.unsent) > 0
	sent = w.writeNow(c, frame)
	w.unsent = nil
	return sent, stuck
}
