package ws

import (
	"bytes"
	"errors"
	"io"
	"sync/atomic"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// A Kind is the kind of a message.
type Kind byte

// The kinds of messages.
const (
	Text   Kind = iota // UTF-8 text
	Binary             // bytes
	Ping               // the handler answers it with [Pong]
	Quiet              // a pong, or a fragment that does not complete a message; it has no data and needs no answer
)

// A Message is a message or control frame from the browser. Data is valid until
// [Handler.Received] returns.
type Message struct {
	Kind Kind
	Data []byte
}

// A reader assembles messages from a connection's bytes. It is not safe for
// concurrent use.
type reader struct {
	partial []byte       // the bytes of an incomplete frame
	message []byte       // the payload of a message's fragments so far
	opcode  ws.OpCode    // of the message that is being read
	state   ws.State     // whether the message is fragmented
	timed   bool         // the connection has a read deadline
	held    atomic.Int64 // bytes of partial and message that account has told of; any goroutine may load it
}

// account tells reserve by how much partial and message have changed. It returns
// false if there is no room for what is more.
func (r *reader) account(reserve func(int) bool) (ok bool) {
	held, before := cap(r.partial)+cap(r.message), int(r.held.Load())
	if held == before || reserve == nil {
		return true
	}
	if !reserve(held - before) {
		return false
	}
	r.held.Store(int64(held))
	return true
}

// feed parses bytes and calls received with each message that they complete. A
// message longer than limit bytes is [ErrTooLarge]. feed copies and keeps the
// bytes of an incomplete frame.
func (r *reader) feed(b []byte, limit int64, received func(Message)) error {
	if len(r.partial) > 0 {
		r.partial = append(r.partial, b...)
		b = r.partial
	}
	whole := len(b)
	for len(b) > 0 {
		rest := bytes.NewReader(b)
		h, err := ws.ReadHeader(rest)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil || ws.CheckHeader(h, r.state) != nil {
			return ErrProtocol
		}
		if h.Length > limit-int64(len(r.message)) && !h.OpCode.IsControl() {
			return ErrTooLarge
		}
		if int64(rest.Len()) < h.Length {
			break
		}
		payload := b[len(b)-rest.Len():][:h.Length]
		b = b[len(b)-rest.Len()+len(payload):]
		ws.Cipher(payload, h.Mask, 0)
		if err := r.frame(h, payload, received); err != nil {
			return err
		}
	}
	switch {
	case len(b) == 0:
		r.partial = nil
	case len(b) < whole || r.partial == nil:
		r.partial = bytes.Clone(b)
	}
	return nil
}

// frame handles a complete frame, whose header has been checked.
func (r *reader) frame(h ws.Header, payload []byte, received func(Message)) error {
	switch h.OpCode {
	case ws.OpPing:
		received(Message{Ping, payload})
		return nil
	case ws.OpPong:
		received(Message{Kind: Quiet})
		return nil
	case ws.OpClose:
		code, text := ws.ParseCloseFrameData(payload)
		if len(payload) == 1 || len(payload) > 0 && ws.CheckCloseFrameData(code, text) != nil {
			return ErrProtocol
		}
		return ErrClosed
	}
	if h.OpCode != ws.OpContinuation {
		r.opcode = h.OpCode
	}
	if !h.Fin {
		r.state = r.state.Set(ws.StateFragmented)
		r.message = append(r.message, payload...)
		received(Message{Kind: Quiet})
		return nil
	}
	if r.state.Fragmented() {
		r.state = r.state.Clear(ws.StateFragmented)
		payload, r.message = append(r.message, payload...), nil
	}
	kind := Binary
	if r.opcode == ws.OpText {
		if kind = Text; !utf8.Valid(payload) {
			return ErrUTF8
		}
	}
	received(Message{kind, payload})
	return nil
}

// MaxHeader is the length of the longest header that [AppendTextHeader] appends, in bytes.
const MaxHeader = 10

// AppendTextHeader appends to b the header of a text frame whose payload has length bytes.
func AppendTextHeader(b []byte, length int) []byte { return appendHeader(b, ws.OpText, length) }

// Pong returns the frame that answers a ping.
func Pong(payload []byte) []byte { return controlFrame(ws.OpPong, payload) }

func controlFrame(op ws.OpCode, payload []byte) []byte {
	return append(appendHeader(nil, op, len(payload)), payload...)
}

// appendHeader appends the header of an unfragmented, unmasked frame.
// ws.WriteHeader writes the same, but needs an io.Writer.
func appendHeader(b []byte, op ws.OpCode, n int) []byte {
	const fin = 0x80
	first := fin | byte(op)
	switch {
	case n < 126:
		return append(b, first, byte(n))
	case n <= 0xffff:
		return append(b, first, 126, byte(n>>8), byte(n))
	default:
		n := uint64(n)
		return append(b, first, 127, byte(n>>56), byte(n>>48), byte(n>>40), byte(n>>32),
			byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
}
