package ws

import (
	"errors"
	"io"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
)

// readBuffers holds read buffers. A connection borrows one while it has bytes
// to read.
var readBuffers = sync.Pool{New: func() any { return new([4096]byte) }}

// Serve starts to read in a goroutine and returns at once. early is what the
// browser sent behind its handshake, as [Server.Upgrade] returned it. If the
// server is closed, Serve aborts the connection instead.
func (c *Conn) Serve(early []byte) {
	if !c.server.begin(func() { c.readOnce(func() error { return c.handle(early) }) }) {
		c.Abort()
	}
}

// wake reads on when a connection's wait is over, or waits itself where there
// is no poller. readOnce has added it to Server.running.
func (c *Conn) wake() {
	defer c.server.running.Done()
	c.readOnce(c.readAvailable)
}

// readOnce calls read, then leaves the wait for more bytes to the poller or, if
// it cannot be used, to a new goroutine. It does not wait in this one, because
// handling messages has grown its stack, and the garbage collector does not
// shrink a stack below 4 KiB again.
func (c *Conn) readOnce(read func() error) {
	defer c.contain()
	if err := read(); err != nil {
		c.Abort()
		c.handler.Failed(err)
		return
	}
	c.server.running.Add(1)
	// The poller supports no deadlines.
	if c.in.timed || c.server.NoPoller || !c.server.poller.park(c) {
		go c.wake()
	}
}

// contain recovers from a panic in a handler: only this connection ends.
func (c *Conn) contain() {
	if value := recover(); value != nil {
		c.handler.Failed(&Fault{Value: value, Stack: debug.Stack()})
		c.Abort()
	}
}

// readAvailable waits for bytes and handles them. A full buffer means that more
// may have arrived: it then reads again. An error ends the connection.
func (c *Conn) readAvailable() error {
	for {
		buffer, n, err := c.read()
		if err == nil {
			err = c.handle(buffer[:n])
			runtime.Gosched() // a flood on this connection must not delay the events of others
		}
		full := n == len(buffer)
		if buffer != nil {
			readBuffers.Put(buffer)
		}
		if err != nil || !full {
			return err
		}
	}
}

// handle parses bytes and calls the handler. It returns an error only if the
// browser sent a close frame. After any other error the connection is still
// read, until the handler's close ends it.
func (c *Conn) handle(b []byte) error {
	err := c.in.feed(b, c.server.MaxMessage, c.handler.Received)
	if err == nil {
		return nil
	}
	c.in.partial, c.in.message = nil, nil // they are of no use any more
	c.handler.Failed(err)
	if errors.Is(err, ErrClosed) {
		return err
	}
	return nil
}

// read blocks until bytes arrive. It returns them in a buffer from readBuffers,
// which the caller puts back; buffer is nil after some errors. With a
// descriptor, no buffer is held while read waits.
func (c *Conn) read() (buffer *[4096]byte, n int, err error) {
	if c.raw == nil {
		buffer = readBuffers.Get().(*[4096]byte)
		n, err = c.conn.Read(buffer[:])
		return buffer, n, err
	}
	rawErr := c.raw.Read(func(fd uintptr) bool {
		buffer = readBuffers.Get().(*[4096]byte)
		n, err = receive(int(fd), buffer[:]) //nolint:gosec // a descriptor
		if !errors.Is(err, syscall.EAGAIN) {
			return true
		}
		readBuffers.Put(buffer)
		buffer = nil
		return false
	})
	switch {
	case rawErr != nil:
		return buffer, 0, rawErr
	case err != nil:
		return buffer, 0, err
	case n == 0:
		return buffer, 0, io.EOF
	}
	return buffer, n, nil
}
