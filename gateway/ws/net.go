package ws

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
)

// A windowed connection has a flow-control window instead of a kernel buffer.
// Package relay implements it, for a browser that is connected to another node.
type windowed interface {
	// TryWrite writes as many bytes as the window has room for, perhaps none. It
	// does not block.
	TryWrite(b []byte) (int, error)
	// AwaitRoom blocks until the window has room, or until the write deadline.
	AwaitRoom() error
}

// A netConn is the network connection under a websocket. Where the system has
// them, its reads hold no buffer while they wait and its writes do not block.
type netConn struct {
	net.Conn
	raw        syscall.RawConn // nil for a connection without a descriptor: TLS, Windows, or a stream from another node
	window     windowed        // not nil only for a stream from another node
	descriptor int             // of raw; valid until the connection is closed
}

func newNetConn(conn net.Conn) netConn {
	c := netConn{Conn: conn}
	c.window, _ = conn.(windowed)
	if sc, ok := conn.(syscall.Conn); ok && usesDescriptors {
		if raw, err := sc.SyscallConn(); err == nil {
			// Control does not call the function if the connection is closed. raw
			// then stays nil, and descriptor, still 0, is never used.
			_ = raw.Control(func(fd uintptr) { c.raw, c.descriptor = raw, int(fd) }) //nolint:gosec // a descriptor
		}
	}
	return c
}

// readBuffers holds read buffers. A connection borrows one while it has bytes
// to read.
var readBuffers = sync.Pool{New: func() any { return new([4096]byte) }}

// read blocks until bytes arrive. It returns them in a buffer from readBuffers,
// which the caller puts back; buffer is nil after some errors. With a
// descriptor, no buffer is held while read waits.
func (c *netConn) read() (buffer *[4096]byte, n int, err error) {
	if c.raw == nil {
		buffer = readBuffers.Get().(*[4096]byte)
		n, err = c.Conn.Read(buffer[:])
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

// nonblocking reports whether the connection has non-blocking writes: through
// its descriptor or its window.
func (c *netConn) nonblocking() bool { return c.raw != nil || c.window != nil }

// tryWrite writes as many bytes as the kernel or the window accepts without
// blocking, perhaps none. On a connection without non-blocking writes that is
// none. The caller makes sure that the descriptor is not closed meanwhile.
func (c *netConn) tryWrite(b []byte) (n int, err error) {
	switch {
	case c.window != nil:
		return c.window.TryWrite(b)
	case c.raw == nil:
		return 0, nil
	}
	// raw.Write would wait for the background writer. raw.Control would double
	// the time spent here outside of the kernel.
	n, err = send(c.descriptor, b)
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR) {
		return 0, nil
	}
	return n, err
}

// awaitRoom calls try when the kernel or the window may accept bytes, at once
// and again and again, until try returns true or the write deadline has passed.
// It is for a connection with non-blocking writes.
func (c *netConn) awaitRoom(try func() (done bool)) error {
	if c.raw != nil {
		return c.raw.Write(func(uintptr) bool { return try() })
	}
	for {
		if err := c.window.AwaitRoom(); err != nil {
			return err
		}
		if try() {
			return nil
		}
	}
}
