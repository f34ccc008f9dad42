//go:build !linux

package ws

// A poller waits for many connections in one goroutine. Only Linux has one
// (poller_linux.go). On other systems every connection waits in a goroutine of
// its own.
type poller struct{}

type parking struct{}

func (*poller) park(*Conn) bool           { return false }
func (*poller) abort(*Conn) (wake func()) { return func() {} }
func (*poller) stop()                     {}
