package ws

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/gobwas/ws"
)

// closeGrace is how long a browser may take to answer a close frame of ours.
// Without the wait, bytes that it sent meanwhile would make the kernel reset
// the connection, and the browser would see no close at all.
const closeGrace = time.Second

// A Handler uses a connection. Its methods may call any method of the
// connection, but for Next.
type Handler interface {
	// Received takes a message. Messages come one at a time, in their order.
	Received(Message)
	// Failed is told why the connection cannot go on, perhaps several times.
	// The handler closes it, or has closed it. What the browser sends then is
	// still received, and no longer heard.
	Failed(error)
	// Next returns what is to be written next, nil if there is nothing, or an
	// error that ends the flush and becomes its result. It is called with the
	// writer held and must not call the connection. With room false the kernel
	// takes no more for now: nothing is to be returned, but perhaps [ErrSlow].
	Next(room bool) ([]byte, error)
}

// Errors that end a connection.
var (
	// ErrClosed means that the browser has sent a close frame.
	ErrClosed = errors.New("websocket: closed by the browser")
	// ErrProtocol means that the browser broke the rules of RFC 6455.
	ErrProtocol = errors.New("websocket: protocol error")
	// ErrUTF8 means that a text message was not UTF-8.
	ErrUTF8 = errors.New("websocket: text that is not UTF-8")
	// ErrTooLarge means that a message was longer than [Server.MaxMessage].
	ErrTooLarge = errors.New("websocket: message too large")
	// ErrSlow means that the browser does not take what is written.
	ErrSlow = errors.New("websocket: the browser does not take what is sent")
)

// A Fault is a panic in a handler. It ends the connection, not the process.
type Fault struct {
	Value any    // of the panic
	Stack []byte // where it was
}

func (f *Fault) Error() string { return fmt.Sprintf("websocket: panic in a handler: %v", f.Value) }

// A Conn is a websocket. Its methods are safe for concurrent use.
type Conn struct {
	server  *Server
	handler Handler

	conn       net.Conn
	raw        syscall.RawConn // nil where the connection has no descriptor: with TLS, on Windows, or to a browser at another node
	window     windowed        // nil but for the latter
	descriptor int

	in      reader // used by the reading goroutine only; one at a time
	out     writer // has its own lock
	parking parking
}

// A windowed connection takes so many bytes without waiting, as a kernel does.
type windowed interface {
	// TryWrite writes what the window has room for, if only nothing.
	TryWrite(b []byte) (int, error)
	// AwaitRoom waits until it has room for something, or until the write deadline.
	AwaitRoom() error
}

// SetReadDeadline bounds the wait for what the browser sends; the zero time is
// no bound. It is for the time before [Conn.Serve], and for [Handler.Received].
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.in.timed = !t.IsZero()
	return c.conn.SetReadDeadline(t)
}

// Close sends a close frame and gives the browser a moment to answer it; the
// reading ends then at the latest. Nothing is written after it. Where a frame
// is half written there is no place for another: the connection is reset.
func (c *Conn) Close(code uint16, reason string) {
	told, stuck := c.writeLast(closeFrame(code, reason))
	if tcp, ok := c.conn.(interface{ SetLinger(int) error }); ok && stuck {
		_ = tcp.SetLinger(0) // else the kernel keeps what the browser does not take, for minutes
	}
	if !told {
		c.Abort()
		return
	}
	time.AfterFunc(closeGrace, c.Abort)
}

// Refuse sends a close frame and ends the connection, which is not served.
func (c *Conn) Refuse(code uint16, reason string) {
	c.WriteNow(closeFrame(code, reason))
	c.Abort()
}

// Abort ends the connection, and with it the reading, without a word. It waits
// for whoever uses the descriptor: the caller must not hold the writer, so it
// is not called by [Handler.Next].
func (c *Conn) Abort() {
	c.out.mu.Lock()
	c.out.aborted = true
	c.out.mu.Unlock()
	wake := c.server.poller.abort(c)
	_ = c.conn.Close()
	wake()
}

func closeFrame(code uint16, reason string) []byte {
	return controlFrame(ws.OpClose, ws.NewCloseFrameBody(ws.StatusCode(code), reason))
}
