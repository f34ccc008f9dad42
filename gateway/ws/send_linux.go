package ws

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// send hands bytes to the kernel, as many as it takes at once. It never waits, so
// the scheduler need not hear of the call.
func send(descriptor int, b []byte) (n int, err error) {
	const flags = syscall.MSG_DONTWAIT | syscall.MSG_NOSIGNAL
	sent, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO,
		uintptr(descriptor), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), flags, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(sent), nil
}
