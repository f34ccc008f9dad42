// Package ws is the websocket transport. A connection is read when bytes have
// arrived, and written for as long as the kernel accepts bytes without
// blocking. The package knows no sessions: a [Handler] receives the messages
// and supplies what is written.
//
//	reading   browser ──▶ poller_*.go (waits for all idle connections) ──▶ read.go ──▶ frame.go ──▶ Handler.Received
//	writing   Conn.Flush ──▶ Handler.Next ──▶ write.go ──▶ send_*.go ──▶ kernel
//	          if the kernel accepts no more: a background writer (write.go) waits until it does
//
// Locks, in the order in which they are taken: a connection's writer, then the
// locks of its Handler (Next is called with the writer's lock held), then
// Server.mu or the poller's, which are innermost. Handler.Received and
// Handler.Failed are called with none of them held.
//
// Source: RFC 6455. github.com/gobwas/ws does the handshake and reads frame
// headers; docs/decisions/0002 says why.
package ws

import (
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

// upgradeTimeout bounds the writing of the answer to a handshake.
const upgradeTimeout = 10 * time.Second

// A Server holds what its connections share: limits, the poller and the count
// of goroutines. Its exported fields are set before the first connection. Its
// methods are safe for concurrent use.
type Server struct {
	// MaxMessage is the length of the longest message that a browser may send,
	// in bytes.
	MaxMessage int64
	// WriteTimeout is how long the network may accept no bytes before the
	// connection fails with [ErrSlow].
	WriteTimeout time.Duration
	// Reserve, if not nil, is told by how many bytes what a connection holds of
	// incomplete messages has changed. If it returns false for more bytes, the
	// connection fails with [ErrMemory]. It must not call the connection.
	Reserve func(bytes int) bool
	// NoPoller makes each connection wait in a goroutine of its own, as on
	// systems without epoll. Tests set it.
	NoPoller bool

	poller  poller
	running sync.WaitGroup // reading goroutines, parked connections and background writers

	mu     sync.Mutex
	closed bool // guarded by mu; once set, begin starts no goroutine
}

// Upgrade answers a websocket handshake, in which it selects [Subprotocol], and
// makes c the connection, which is not read until [Conn.Serve]. It returns the bytes that the browser has already sent
// behind its request. If it returns an error, the request has been answered.
func (srv *Server) Upgrade(w http.ResponseWriter, r *http.Request, c *Conn, h Handler) (early []byte, err error) {
	upgrader := ws.HTTPUpgrader{Timeout: upgradeTimeout}
	if name := Subprotocol(r.Header); name != "" {
		upgrader.Header = http.Header{subprotocolHeader: {name}}
	}
	conn, rw, _, err := upgrader.Upgrade(r, w)
	if err != nil {
		if conn != nil { // the handshake failed after net/http had handed over the connection
			_ = conn.Close()
		}
		return nil, err
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		_ = conn.Close()
		return nil, err
	}
	// rw is not kept: its buffers are 8 KiB for each connection.
	early = make([]byte, rw.Reader.Buffered())
	_, _ = io.ReadFull(rw.Reader, early)
	srv.Init(c, conn, h)
	return early, nil
}

// Init makes c the websocket on a connection whose handshake is done. It is not
// read until [Conn.Serve]. c may be a part of h: one allocation less, and one
// place less in memory that a write has to look for.
func (srv *Server) Init(c *Conn, conn net.Conn, h Handler) {
	c.server, c.handler, c.net, c.in.state = srv, h, newNetConn(conn), ws.StateServerSide
}

// begin runs f in a goroutine that Close waits for. If the server is closed, it
// returns false and does not run f.
func (srv *Server) begin(f func()) bool {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.closed {
		return false
	}
	srv.running.Go(f)
	return true
}

// Close waits until all goroutines have ended. Every connection must have been
// closed or aborted before.
func (srv *Server) Close() {
	srv.mu.Lock()
	srv.closed = true
	srv.mu.Unlock()
	srv.running.Wait()
	srv.poller.stop()
}
