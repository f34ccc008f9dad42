package ws

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// send writes as many bytes as the kernel accepts, without blocking. A call
// that cannot block needs no notice to the Go scheduler, hence RawSyscall6.
func send(descriptor int, b []byte) (n int, err error) {
	const flags = syscall.MSG_DONTWAIT | syscall.MSG_NOSIGNAL
	sent, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO,
		uintptr(descriptor), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), flags, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(sent), nil
}
