//go:build unix

package ws

import (
	"errors"
	"syscall"
)

// descriptors tells whether a connection is one to the kernel that can be read and written without waiting.
const descriptors = true

// receive takes from the kernel what has come. The descriptor does not block.
func receive(descriptor int, b []byte) (n int, err error) {
	n, err = syscall.Read(descriptor, b)
	for errors.Is(err, syscall.EINTR) {
		n, err = syscall.Read(descriptor, b)
	}
	return n, err
}
