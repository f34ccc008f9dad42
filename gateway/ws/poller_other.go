//go:build !linux

package ws

// A poller waits for many connections at once, on Linux; poller_linux.go says
// how. Here each waits in a goroutine of its own.
type poller struct{}

type parking struct{}

func (*poller) park(*Conn) bool           { return false }
func (*poller) abort(*Conn) (wake func()) { return func() {} }
func (*poller) stop()                     {}
