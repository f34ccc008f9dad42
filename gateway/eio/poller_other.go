//go:build !linux

package eio

// A poller waits for many websockets at once, on Linux; poller_linux.go says
// how. Here each waits in a goroutine of its own.
type poller struct{}

type parking struct{}

func (*poller) park(*Session, *wsConn) bool { return false }
func (*poller) abort(*wsConn) (wake func()) { return func() {} }
func (*poller) stop()                       {}
