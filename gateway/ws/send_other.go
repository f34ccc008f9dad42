//go:build unix && !linux

package ws

import "syscall"

// send hands bytes to the kernel, as many as it takes at once. The descriptor does not block.
func send(descriptor int, b []byte) (n int, err error) { return syscall.Write(descriptor, b) }
