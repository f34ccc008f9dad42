//go:build unix

package ws

import (
	"errors"
	"syscall"
)

// usesDescriptors reports whether connections are read and written through their descriptors, without blocking.
const usesDescriptors = true

// receive reads bytes that have arrived. The descriptor is non-blocking.
func receive(descriptor int, b []byte) (n int, err error) {
	n, err = syscall.Read(descriptor, b)
	for errors.Is(err, syscall.EINTR) {
		n, err = syscall.Read(descriptor, b)
	}
	return n, err
}
