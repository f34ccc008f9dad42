//go:build !linux

package listen

import (
	"net"
	"time"
)

// The functions of system_linux.go on other systems, which are for developing
// only: the number of files is not looked up, send buffers have the system's
// size, and a refused connection may be reset.

func fileLimit() int { return 0 }

func setSendBuffer(uintptr, int) {}

func setUserTimeout(*net.TCPConn, time.Duration) {}

func discard(*net.TCPConn) {}
