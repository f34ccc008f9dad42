package ws

import (
	"errors"
	"io"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
)

// readBuffers are lent to connections that have something to read; an idle one holds none.
var readBuffers = sync.Pool{New: func() any { return new([4096]byte) }}

// Serve begins to read. early is what came with the handshake. Once the server
// has closed, the connection is aborted instead.
func (c *Conn) Serve(early []byte) {
	if !c.server.begin(func() { c.readOnce(func() error { return c.handle(early) }) }) {
		c.Abort()
	}
}

// wake goes on with a connection that has waited. It is counted as running.
func (c *Conn) wake() {
	defer c.server.running.Done()
	c.readOnce(c.readAvailable)
}

// readOnce handles what is there and leaves the wait for more to the poller,
// or else to another goroutine, whose first act it is: handling makes a stack
// grow, and the collector makes none smaller than 4 KiB again.
func (c *Conn) readOnce(read func() error) {
	defer c.contain()
	if err := read(); err != nil {
		c.Abort()
		c.handler.Failed(err)
		return
	}
	c.server.running.Add(1)
	// A wait in the poller has no deadline.
	if c.in.timed || c.server.NoPoller || !c.server.poller.park(c) {
		go c.wake()
	}
}

// contain turns a panic into the end of the one connection that met it.
func (c *Conn) contain() {
	if value := recover(); value != nil {
		c.handler.Failed(&Fault{Value: value, Stack: debug.Stack()})
		c.Abort()
	}
}

// readAvailable waits for bytes and handles them, and those behind them if
// there may be any. An error is the end of the connection.
func (c *Conn) readAvailable() error {
	for {
		buffer, n, err := c.read()
		if err == nil {
			err = c.handle(buffer[:n])
			runtime.Gosched() // a flood waits behind the neighbours' events
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

// handle handles bytes as they came.
func (c *Conn) handle(b []byte) error {
	err := c.in.feed(b, c.server.MaxMessage, c.handler.Received)
	if err == nil {
		return nil
	}
	c.in.partial, c.in.message = nil, nil // and what follows is no longer heard
	c.handler.Failed(err)
	if errors.Is(err, ErrClosed) {
		return err
	}
	return nil
}

// read waits for bytes. They come in a buffer of readBuffers, which the caller
// puts back; the wait holds no memory but the goroutine.
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
