package eio

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// closeGrace is how long a websocket that was closed by us may take to answer
// the close frame. Without the wait, bytes that it sent meanwhile would make
// the kernel reset the connection, and the browser would see no close at all.
const closeGrace = time.Second

// A wsConn is a websocket: frames in, frames out. One goroutine at a time reads it (Session.listen).
type wsConn struct {
	conn       net.Conn
	raw        syscall.RawConn // nil where the connection has no descriptor: with TLS, on Windows, or to a browser at another node
	window     windowed        // nil but for the latter
	descriptor int
	maxPayload int64
	poller     *poller
	parking    parking // guarded by poller.mu

	// Used by the reading goroutine only.
	partial []byte // the beginning of a frame
	message []byte // the fragments of a message so far
	opcode  ws.OpCode
	state   ws.State

	writer sync.Mutex // held while the kernel copies, no longer; taken before Session.mu
	// Guarded by writer.
	aborted bool      // and the descriptor may be another's
	rest    []byte    // what the kernel has not taken of the frames begun
	carried bool      // a carrier waits until it takes more
	since   time.Time // when it last took something, with rest left
}

// A windowed connection takes so many bytes without waiting, as a kernel does.
type windowed interface {
	// TryWrite writes what the window has room for, if only nothing.
	TryWrite(b []byte) (int, error)
	// AwaitRoom waits until it has room for something, or until the write deadline.
	AwaitRoom() error
}

// Errors that end a websocket, each with its close code (RFC 6455, 7.4.1).
var (
	errClosed   = errors.New("websocket: closed by the browser")
	errProtocol = errors.New("websocket: protocol error")
	errUTF8     = errors.New("websocket: text that is not UTF-8")
	errTooLarge = errors.New("websocket: message too large")
)

// readBuffers are lent to connections that have something to read; an idle one holds none.
var readBuffers = sync.Pool{New: func() any { return new([4096]byte) }}

// upgradeConn answers a websocket handshake. It returns the connection and
// what the browser has sent behind its request already.
func (srv *Server) upgradeConn(w http.ResponseWriter, r *http.Request) (*wsConn, []byte, error) {
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
	// rw goes back to net/http or to the collector: 8 KiB a socket.
	early := make([]byte, rw.Reader.Buffered())
	_, _ = io.ReadFull(rw.Reader, early)
	c := &wsConn{conn: conn, maxPayload: srv.MaxPayload, poller: &srv.poller, state: ws.StateServerSide}
	c.window, _ = conn.(windowed)
	if sc, ok := conn.(syscall.Conn); ok && descriptors {
		if raw, err := sc.SyscallConn(); err == nil {
			// Not called where the connection is closed: 0 is a descriptor too.
			_ = raw.Control(func(fd uintptr) { c.raw, c.descriptor = raw, int(fd) }) //nolint:gosec // a descriptor
		}
	}
	return c, early, nil
}

// A listener hears what comes on a websocket.
type listener interface {
	hear(*wsConn, packet)
	// fault hears what the browser does wrong. It closes the websocket, on
	// which nothing is heard then but the browser's answer to that.
	fault(*wsConn, error)
}

// next waits for bytes and handles them, and those behind them if there may be
// any. An error is the end of the connection.
func (c *wsConn) next(l listener) error {
	for {
		buffer, n, err := c.read()
		if err == nil {
			err = c.handle(buffer[:n], l)
			runtime.Gosched() // who floods waits behind the neighbours' events
		}
		full := n == len(buffer)
		if buffer != nil {
			readBuffers.Put(buffer)
		}
		if err != nil || !full {
			return err
		}
	}
}

// handle handles bytes as they came.
func (c *wsConn) handle(b []byte, l listener) error {
	err := c.feed(b, func(p packet) { l.hear(c, p) })
	if err == nil {
		return nil
	}
	c.partial, c.message = nil, nil // and what follows is no longer heard
	l.fault(c, err)
	if errors.Is(err, errClosed) {
		return err
	}
	return nil
}

// read waits for bytes. They come in a buffer of readBuffers, which the caller
// puts back; the wait holds no memory but the goroutine.
func (c *wsConn) read() (buffer *[4096]byte, n int, err error) {
	if c.raw == nil {
		buffer = readBuffers.Get().(*[4096]byte)
		n, err = c.conn.Read(buffer[:])
		return buffer, n, err
	}
	rawErr := c.raw.Read(func(fd uintptr) bool {
		buffer = readBuffers.Get().(*[4096]byte)
		n, err = receive(int(fd), buffer[:]) //nolint:gosec // a descriptor
		if !errors.Is(err, syscall.EAGAIN) {
			return true
		}
		readBuffers.Put(buffer)
		buffer = nil
		return false
	})
	switch {
	case rawErr != nil:
		return buffer, 0, rawErr
	case err != nil:
		return buffer, 0, err
	case n == 0:
		return buffer, 0, io.EOF
	}
	return buffer, n, nil
}

// feed takes bytes as they come and handles the frames that they complete.
func (c *wsConn) feed(b []byte, handle func(packet)) error {
	if len(c.partial) > 0 {
		c.partial = append(c.partial, b...)
		b = c.partial
	}
	whole := len(b)
	for len(b) > 0 {
		r := bytes.NewReader(b)
		h, err := ws.ReadHeader(r)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil || ws.CheckHeader(h, c.state) != nil {
			return errProtocol
		}
		if h.Length > c.maxPayload-int64(len(c.message)) && !h.OpCode.IsControl() {
			return errTooLarge
		}
		if int64(r.Len()) < h.Length {
			break
		}
		payload := b[len(b)-r.Len():][:h.Length]
		b = b[len(b)-r.Len()+len(payload):]
		ws.Cipher(payload, h.Mask, 0)
		if err := c.frame(h, payload, handle); err != nil {
			return err
		}
	}
	switch {
	case len(b) == 0:
		c.partial = nil
	case len(b) < whole || c.partial == nil:
		c.partial = bytes.Clone(b)
	}
	return nil
}

func (c *wsConn) frame(h ws.Header, payload []byte, handle func(packet)) error {
	switch h.OpCode {
	case ws.OpPing:
		handle(packet{kind: socketPing, data: payload})
		return nil
	case ws.OpPong:
		handle(packet{kind: socketFrame})
		return nil
	case ws.OpClose:
		code, text := ws.ParseCloseFrameData(payload)
		if len(payload) == 1 || len(payload) > 0 && ws.CheckCloseFrameData(code, text) != nil {
			return errProtocol
		}
		return errClosed
	}
	if h.OpCode != ws.OpContinuation {
		c.opcode = h.OpCode
	}
	if !h.Fin {
		c.state = c.state.Set(ws.StateFragmented)
		c.message = append(c.message, payload...)
		handle(packet{kind: socketFrame})
		return nil
	}
	if c.state.Fragmented() {
		c.state = c.state.Clear(ws.StateFragmented)
		payload, c.message = append(c.message, payload...), nil
	}
	text := c.opcode == ws.OpText
	if text && !utf8.Valid(payload) {
		return errUTF8
	}
	handle(socketPacket(payload, text))
	return nil
}

// tryWrite writes as much of rest as the kernel takes at once. Where the
// connection has neither descriptor nor window that is nothing. The caller
// holds writer.
func (c *wsConn) tryWrite() error {
	if len(c.rest) == 0 || !c.tries() {
		return nil
	}
	if c.window != nil {
		n, err := c.window.TryWrite(c.rest)
		c.took(n)
		return err
	}
	if c.aborted {
		return net.ErrClosed
	}
	// Not through raw: its Write would wait for the carrier, and its Control
	// costs as much as all else here that is not the kernel's.
	n, err := send(c.descriptor, c.rest)
	switch {
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		return nil
	case err != nil:
		return err
	}
	c.took(n)
	return nil
}

// tries reports whether a write can be tried without waiting.
func (c *wsConn) tries() bool { return c.raw != nil || c.window != nil }

// stuckSince reports whether the kernel has taken nothing of rest since then.
func (c *wsConn) stuckSince(then time.Time) bool {
	c.writer.Lock()
	defer c.writer.Unlock()
	return len(c.rest) > 0 && c.since.Equal(then)
}

// writeBatch writes the beginning of rest, as large as a batch, where there is
// nothing to try. Only the carrier calls it, without writer.
func (c *wsConn) writeBatch() error {
	c.writer.Lock()
	begin := c.rest[:min(len(c.rest), batch)]
	c.writer.Unlock()
	if _, err := c.conn.Write(begin); err != nil {
		return err
	}
	c.writer.Lock()
	defer c.writer.Unlock()
	c.took(min(len(begin), len(c.rest))) // a close leaves nothing
	c.since = time.Now()
	return nil
}

// unwritten returns at least how many bytes of rest the browser cannot have
// read. The caller holds writer.
func (c *wsConn) unwritten() int {
	if !c.tries() {
		return max(0, len(c.rest)-batch) // a batch may be on its way
	}
	return len(c.rest)
}

// took cuts off what was written. The caller holds writer.
func (c *wsConn) took(n int) {
	if c.rest = c.rest[n:]; len(c.rest) == 0 {
		c.rest = nil
	}
}

// writeNow writes a small frame where nothing else is being written, and
// reports whether it is on its way.
func (c *wsConn) writeNow(f *Frame) bool {
	c.writer.Lock()
	defer c.writer.Unlock()
	return c.writeLast(f)
}

// writeLast is writeNow for one who holds writer.
func (c *wsConn) writeLast(f *Frame) bool {
	if len(c.rest) > 0 {
		return false
	}
	if !c.tries() {
		_ = c.conn.SetWriteDeadline(time.Now().Add(closeGrace))
		_, err := c.conn.Write(f.wire)
		return err == nil
	}
	c.rest = f.wire
	return c.tryWrite() == nil && len(c.rest) == 0
}

// join returns the bytes of frames one after the other, uncopied if there is one.
func join(frames []*Frame) []byte {
	if len(frames) == 1 {
		return frames[0].wire
	}
	size := 0
	for _, f := range frames {
		size += len(f.wire)
	}
	all := make([]byte, 0, size)
	for _, f := range frames {
		all = append(all, f.wire...)
	}
	return all
}

// close sends a close frame and gives the browser a moment to answer it; the
// reader ends then at the latest. Nothing is written after it.
func (c *wsConn) close(reason Reason) {
	frame := control(ws.OpClose, ws.NewCloseFrameBody(reason.closeCode(), string(reason)))
	c.writer.Lock()
	stuck := len(c.rest) > 0 // there is no place for a close frame
	told := c.writeLast(frame)
	c.rest = nil
	c.writer.Unlock()
	if tcp, ok := c.conn.(interface{ SetLinger(int) error }); ok && stuck {
		_ = tcp.SetLinger(0) // else the kernel keeps what the browser does not take, for minutes
	}
	if !told {
		c.abort()
		return
	}
	time.AfterFunc(closeGrace, c.abort)
}

// abort ends the connection, and with it the reader, without a word. It waits for
// whoever uses the descriptor: nobody may hold writer or be in a callback of raw.
func (c *wsConn) abort() {
	c.writer.Lock()
	c.aborted = true
	c.writer.Unlock()
	wake := c.poller.abort(c)
	_ = c.conn.Close()
	wake()
}
