package ws

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// batch is how many bytes are written in one go where there is nothing to try:
// neither descriptor nor window.
const batch = 64 << 10

// A writer is the writing side of a connection. Its lock is held while the
// kernel copies, and no longer.
type writer struct {
	mu sync.Mutex
	// Guarded by mu.
	aborted bool      // and the descriptor may be another's
	rest    []byte    // what the kernel has not taken of the frames begun
	carried bool      // a carrier waits until it takes more
	since   time.Time // when it last took something, with rest left
}

// Flush writes what [Handler.Next] returns, until there is no more or the
// kernel takes no more. In the latter case a goroutine, the carrier, goes on
// when the kernel does. Flush never waits for the network. It returns the
// error of Next, or why the network cannot be written to; the caller closes.
func (c *Conn) Flush() error {
	_, _, err := c.flush(false)
	return err
}

// flush also returns whether the kernel is stuck, and since when.
func (c *Conn) flush(carrier bool) (stuck bool, since time.Time, err error) {
	w := &c.out
	w.mu.Lock()
	defer w.mu.Unlock()
	moved := false
	for {
		before := len(w.rest)
		if err := c.tryWrite(); err != nil {
			return false, since, err
		}
		moved = moved || len(w.rest) < before
		stuck = len(w.rest) > 0
		next, err := c.handler.Next(!stuck)
		if err != nil {
			return false, since, err
		}
		if stuck || len(next) == 0 {
			break
		}
		w.rest, moved = next, true
	}
	if moved && stuck {
		w.since = time.Now()
	}
	since = w.since
	if carrier {
		w.carried = stuck
	} else if stuck && !w.carried {
		w.carried = c.server.begin(func() { c.carry(since) })
	}
	return stuck, since, nil
}

// carry is the carrier: it goes on until the kernel has everything, or has
// taken nothing for WriteTimeout.
func (c *Conn) carry(since time.Time) {
	defer c.contain()
	for {
		latest, stuck, err := c.carryOn(since)
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

// carryOn waits until the kernel takes something, and flushes. since is when
// it last did.
func (c *Conn) carryOn(since time.Time) (latest time.Time, stuck bool, err error) {
	flush := func() { stuck, latest, err = c.flush(true) }
	waited := c.conn.SetWriteDeadline(since.Add(c.server.WriteTimeout))
	switch {
	case waited != nil:
	case c.raw != nil:
		waited = c.raw.Write(func(uintptr) (done bool) {
			flush()
			return !stuck || latest != since || err != nil
		})
	case c.window != nil:
		if waited = c.window.AwaitRoom(); waited == nil {
			flush()
		}
	default:
		if waited = c.writeBatch(); waited == nil {
			flush()
		}
	}
	switch {
	case errors.Is(waited, os.ErrDeadlineExceeded):
		// Judged before another try: the kernel may have some room that it had
		// all the time, too little to tell of.
		if c.stuckSince(since) {
			return latest, true, ErrSlow
		}
		flush() // others have written
	case waited != nil:
		return latest, true, waited
	}
	return latest, stuck, err
}

// tryWrite writes as much of rest as the kernel takes at once. Where the
// connection has neither descriptor nor window that is nothing. The caller
// holds the writer.
func (c *Conn) tryWrite() error {
	w := &c.out
	if len(w.rest) == 0 || !c.tries() {
		return nil
	}
	if c.window != nil {
		n, err := c.window.TryWrite(w.rest)
		w.took(n)
		return err
	}
	if w.aborted {
		return net.ErrClosed
	}
	// Not through raw: its Write would wait for the carrier, and its Control
	// costs as much as all else here that is not the kernel's.
	n, err := send(c.descriptor, w.rest)
	switch {
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		return nil
	case err != nil:
		return err
	}
	w.took(n)
	return nil
}

// tries reports whether a write can be tried without waiting.
func (c *Conn) tries() bool { return c.raw != nil || c.window != nil }

// stuckSince reports whether the kernel has taken nothing of rest since then.
func (c *Conn) stuckSince(then time.Time) bool {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return len(c.out.rest) > 0 && c.out.since.Equal(then)
}

// writeBatch writes the beginning of rest, as large as a batch, where there is
// nothing to try. Only the carrier calls it, without the writer.
func (c *Conn) writeBatch() error {
	w := &c.out
	w.mu.Lock()
	begin := w.rest[:min(len(w.rest), batch)]
	w.mu.Unlock()
	if _, err := c.conn.Write(begin); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.took(min(len(begin), len(w.rest))) // a close leaves nothing
	w.since = time.Now()
	return nil
}

// Unwritten returns how many bytes that [Handler.Next] has returned the
// browser cannot have read; at least, where that is not known exactly.
func (c *Conn) Unwritten() int {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if !c.tries() {
		return max(0, len(c.out.rest)-batch) // a batch may be on its way
	}
	return len(c.out.rest)
}

// took cuts off what was written. The caller holds the writer.
func (w *writer) took(n int) {
	if w.rest = w.rest[n:]; len(w.rest) == 0 {
		w.rest = nil
	}
}

// WriteNow writes a small frame where nothing else is being written, and
// reports whether it is on its way.
func (c *Conn) WriteNow(frame []byte) bool {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return c.writeNow(frame)
}

// writeNow is WriteNow for a caller that holds the writer.
func (c *Conn) writeNow(frame []byte) bool {
	if len(c.out.rest) > 0 {
		return false
	}
	if !c.tries() {
		_ = c.conn.SetWriteDeadline(time.Now().Add(closeGrace))
		_, err := c.conn.Write(frame)
		return err == nil
	}
	c.out.rest = frame
	return c.tryWrite() == nil && len(c.out.rest) == 0
}

// writeLast writes a frame behind which nothing is written, and drops what the
// kernel has not taken. It reports whether the frame is on its way, and whether
// the kernel held the beginning of another.
func (c *Conn) writeLast(frame []byte) (told, stuck bool) {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	stuck = len(c.out.rest) > 0
	told = c.writeNow(frame)
	c.out.rest = nil
	return told, stuck
}
