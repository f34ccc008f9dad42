// Package ws is the websocket transport: connections that are read when
// something has come and written as far as the kernel takes it. It knows no
// session: a [Handler] gets the messages and says what is written next.
//
//	reading   the browser ──▶ poller_*.go (waits for all idle ones) ──▶ read.go ──▶ frame.go ──▶ Handler.Received
//	writing   Conn.Flush ──▶ Handler.Next ──▶ write.go ──▶ send_*.go ──▶ the kernel
//	          the kernel takes no more: the carrier in write.go waits until it does
//
// Locks, in the order in which they are taken: a connection's writer, then the
// locks of its Handler (Next is called with the writer held), then the
// poller's, which is the innermost. Handler.Received and Handler.Failed are
// called with none of them.
//
// Source: RFC 6455. github.com/gobwas/ws does the handshake and reads frame
// headers; docs/decisions/0002 says why.
package ws

import (
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/gobwas/ws"
)

// upgradeTimeout bounds the answer to a handshake.
const upgradeTimeout = 10 * time.Second

// A Server has what its connections share: limits, the poller, and the
// goroutines. Its fields are set before its first connection. It is safe for
// concurrent use.
type Server struct {
	// MaxMessage is the length of the longest message, in bytes.
	MaxMessage int64
	// WriteTimeout is how long the network may take nothing before the
	// connection fails with [ErrSlow].
	WriteTimeout time.Duration
	// NoPoller lets each connection wait in a goroutine of its own, as on
	// systems without epoll. Tests set it.
	NoPoller bool

	poller  poller
	running sync.WaitGroup // readers and carriers

	mu     sync.Mutex
	closed bool // guarded by mu: no goroutine begins that no other waits for
}

// Upgrade answers a websocket handshake. It returns the connection, which is
// not read before [Conn.Serve], and what the browser has sent behind its
// request already. After an error the request has been answered.
func (srv *Server) Upgrade(w http.ResponseWriter, r *http.Request, h Handler) (c *Conn, early []byte, err error) {
	conn, rw, _, err := ws.HTTPUpgrader{Timeout: upgradeTimeout}.Upgrade(r, w)
	if err != nil {
		if conn != nil { // refused, but taken from net/http
			_ = conn.Close()
		}
		return nil, nil, err
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	// rw goes back to net/http or to the collector: 8 KiB a connection.
	early = make([]byte, rw.Reader.Buffered())
	_, _ = io.ReadFull(rw.Reader, early)
	return srv.NewConn(conn, h), early, nil
}

// NewConn returns the websocket of a connection whose handshake is done. It is
// not read before [Conn.Serve].
func (srv *Server) NewConn(conn net.Conn, h Handler) *Conn {
	c := &Conn{server: srv, handler: h, conn: conn, in: reader{state: ws.StateServerSide}}
	c.window, _ = conn.(windowed)
	if sc, ok := conn.(syscall.Conn); ok && descriptors {
		if raw, err := sc.SyscallConn(); err == nil {
			// Not called where the connection is closed: 0 is a descriptor too.
			_ = raw.Control(func(fd uintptr) { c.raw, c.descriptor = raw, int(fd) }) //nolint:gosec // a descriptor
		}
	}
	return c
}

// begin runs f in a goroutine that Close waits for; it returns false once the server has closed.
func (srv *Server) begin(f func()) bool {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.closed {
		return false
	}
	srv.running.Go(f)
	return true
}

// Close returns when all goroutines have ended. Every connection must have
// been closed or aborted before.
func (srv *Server) Close() {
	srv.mu.Lock()
	srv.closed = true
	srv.mu.Unlock()
	srv.running.Wait()
	srv.poller.stop()
}
