package listen

import (
	"math"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// fileLimit returns how many files the process may have open, or 0 if that is
// not known. Go has raised the limit as far as it may.
func fileLimit() int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil || l.Cur > math.MaxInt32 {
		return 0
	}
	return int(l.Cur) //nolint:gosec // at most MaxInt32
}

// setSendBuffer sets the size of a socket's send buffer, in bytes. The kernel
// then no longer grows it. Connections that a listening socket accepts inherit
// it.
func setSendBuffer(fd uintptr, bytes int) {
	_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, bytes) //nolint:gosec // a descriptor
}

// setUserTimeout sets how long the peer may acknowledge nothing, or take nothing,
// of what was sent before the kernel resets the connection, also after Close. A
// listening socket does not pass it on to the connections that it accepts.
func setUserTimeout(c *net.TCPConn, t time.Duration) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(t.Milliseconds())) //nolint:gosec // a descriptor
	})
}

// discard discards the bytes that have arrived. It does not wait for more.
func discard(c *net.TCPConn) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Read(func(fd uintptr) bool {
		var buffer [4096]byte
		for range 4 { // a peer that keeps sending does not keep this up
			n, err := syscall.Read(int(fd), buffer[:]) //nolint:gosec // a descriptor
			if n < len(buffer) || err != nil {
				break
			}
		}
		return true
	})
}
