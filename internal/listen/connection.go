package listen

import (
	"container/list"
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// A connection is a TCP connection that is counted until it is closed. The
// methods of *net.TCPConn that others look for stay there: SyscallConn, which
// gateway/ws needs, SetLinger, ReadFrom and CloseWrite.
type connection struct {
	*net.TCPConn
	connections *connections
	listener    *listener
	evicted     atomic.Bool // closed to make room, while it waited for a request

	head    head         // of the request that is read or answered
	charged atomic.Int64 // bytes of head that are charged

	// Guarded by the lock of connections.
	address          *address // nil if it is exempt from the limit per address
	counted          bool
	idle             bool      // it waits between two requests, not for its first one
	since            time.Time // when it began to wait
	inAll, inAddress *list.Element
}

// Close closes the connection and uncounts it. The file is free, or is as soon
// as the calls that use it have returned.
func (c *connection) Close() error {
	err := c.TCPConn.Close()
	c.forgetHead()
	c.connections.release(c)
	return err
}

// connectionKey is the key of a request's connection in its context.
type connectionKey struct{}

// remember is a hook for [http.Server.ConnContext].
func remember(ctx context.Context, nc net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, nc)
}

// abandoned reports whether the connection of a request was closed to make room
// before the request was complete. Such a request must not be carried out: its
// sender gets no answer and sends it again.
func abandoned(r *http.Request) bool {
	c, ok := r.Context().Value(connectionKey{}).(*connection)
	return ok && c.evicted.Load()
}
