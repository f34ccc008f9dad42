//go:build unix && !linux

package ws

import "syscall"

// send writes as many bytes as the kernel accepts. The descriptor is non-blocking.
func send(descriptor int, b []byte) (n int, err error) { return syscall.Write(descriptor, b) }
