package ws

import (
	"errors"
	"fmt"
	"time"

	"github.com/gobwas/ws"
)

// closeGrace is how long a browser may take to answer our close frame. If the
// connection were closed at once, unread bytes from the browser would make the
// kernel reset it, and the browser might never see the close frame.
const closeGrace = time.Second

// A Handler receives a connection's messages and supplies what is written to
// it. Received and Failed may call any method of the connection, Next none.
type Handler interface {
	// Received handles one message. Calls come one at a time, in the order of
	// arrival.
	Received(Message)
	// Failed reports why the connection cannot go on. It may be called several
	// times. The handler closes the connection unless it has done so. Until the
	// connection ends, Received may still be called; the handler ignores those
	// messages.
	Failed(error)
	// Next returns the next bytes to write, or nil if there are none. An error
	// ends the flush, and Flush returns it. Next is called with the writer's lock
	// held. If room is false, the kernel accepts no more bytes for now: Next then
	// returns no bytes, only nil or an error such as [ErrSlow].
	Next(room bool) ([]byte, error)
}

// Errors that end a connection.
var (
	// ErrClosed means that the browser sent a close frame.
	ErrClosed = errors.New("websocket: closed by the browser")
	// ErrProtocol means that the browser violated RFC 6455.
	ErrProtocol = errors.New("websocket: protocol error")
	// ErrUTF8 means that a text message was not UTF-8.
	ErrUTF8 = errors.New("websocket: text is not UTF-8")
	// ErrTooLarge means that a message was longer than [Server.MaxMessage].
	ErrTooLarge = errors.New("websocket: message too large")
	// ErrMemory means that [Server.Reserve] had no room for an incomplete message.
	ErrMemory = errors.New("websocket: no memory for an incomplete message")
	// ErrSlow means that the browser reads more slowly than it is written to: the
	// network accepted nothing for [Server.WriteTimeout], or the Handler's queue
	// is too long.
	ErrSlow = errors.New("websocket: the browser reads too slowly")
)

// A Fault is a panic in a handler. It ends the connection, not the process.
type Fault struct {
	Value any    // the argument of panic
	Stack []byte // the stack trace of the panicking goroutine
}

func (f *Fault) Error() string { return fmt.Sprintf("websocket: panic in a handler: %v", f.Value) }

// A Conn is the server's end of a websocket; [Server.Init] makes it one. Its methods are safe for
// concurrent use, except [Conn.SetReadDeadline].
type Conn struct {
	server  *Server
	handler Handler

	net     netConn
	in      reader  // used by the reading goroutine, of which there is one at a time, except in.held
	out     writer  // has its own lock
	parking parking // guarded by poller.mu
}

// SetReadDeadline sets the time by which the browser must send something; the
// zero time means no deadline. It is called before [Conn.Serve] or from
// [Handler.Received] only.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.in.timed = !t.IsZero()
	return c.net.SetReadDeadline(t)
}

// Incomplete returns how many bytes are reserved for an incomplete message. Without [Server.Reserve]
// it returns zero.
func (c *Conn) Incomplete() int { return int(c.in.held.Load()) }

// Close sends a close frame and aborts the connection a second later, unless
// the browser has ended it before. From now on [Handler.Next] returns no bytes.
// If earlier bytes are still unsent, a close frame cannot follow them: the
// connection is reset at once.
func (c *Conn) Close(code uint16, reason string) {
	sent, stuck := c.out.writeLast(&c.net, closeFrame(code, reason))
	if tcp, ok := c.net.Conn.(interface{ SetLinger(int) error }); ok && stuck {
		_ = tcp.SetLinger(0) // without it the kernel keeps unsent bytes for minutes
	}
	if !sent {
		c.Abort()
		return
	}
	time.AfterFunc(closeGrace, c.Abort)
}

// Refuse sends a close frame and aborts the connection. It is for a connection
// on which [Conn.Serve] is never called.
func (c *Conn) Refuse(code uint16, reason string) {
	c.WriteNow(closeFrame(code, reason))
	c.Abort()
}

// Abort closes the connection without a close frame and ends its reading. It
// blocks while a read or write uses the descriptor. The caller must not hold
// the writer's lock, so [Handler.Next] must not call Abort.
func (c *Conn) Abort() {
	c.out.mu.Lock()
	c.out.aborted = true
	c.out.mu.Unlock()
	wake := c.server.poller.abort(c)
	_ = c.net.Close()
	wake()
}

func closeFrame(code uint16, reason string) []byte {
	return controlFrame(ws.OpClose, ws.NewCloseFrameBody(ws.StatusCode(code), reason))
}
