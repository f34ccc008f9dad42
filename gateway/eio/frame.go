package eio

import (
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/ramainen/doit-socket/gateway/ws"
	"github.com/ramainen/doit-socket/internal/budget"
)

// Packet types, as the character that stands first in a packet.
// Source: engine.io-protocol, revisions 2 to 4, the same in all of them.
const (
	packetOpen    = '0'
	packetClose   = '1'
	packetPing    = '2'
	packetPong    = '3'
	packetMessage = '4'
	packetUpgrade = '5'
	packetNoop    = '6'
)

// A Frame is one packet to browsers, encoded once for all sockets that receive
// it. Its bytes are immutable. It is safe for concurrent use.
type Frame struct {
	wire   []byte // websocket header, then the packet
	packet []byte // type character and data: the tail of wire

	escape  sync.Once
	escaped *Frame

	holders atomic.Int32 // how many queues hold it, of those that a budget counts
}

// frameBytes is what a frame takes in memory besides its wire, about.
const frameBytes = 128

// hold makes the budget count the frame, once for all queues that hold it.
func (f *Frame) hold(b *budget.Budget) {
	if b != nil && f.holders.Add(1) == 1 {
		b.Add(len(f.wire) + frameBytes)
	}
}

// release undoes one hold.
func (f *Frame) release(b *budget.Budget) {
	if b != nil && f.holders.Add(-1) == 0 {
		b.Return(len(f.wire) + frameBytes)
	}
}

// Message returns the frame of a message. Its text is the concatenation of
// parts and must be UTF-8.
func Message(parts ...[]byte) *Frame {
	return newFrame(packetMessage, parts...)
}

func newFrame(kind byte, parts ...[]byte) *Frame {
	size := 1
	for _, part := range parts {
		size += len(part)
	}
	wire := ws.AppendTextHeader(make([]byte, 0, ws.MaxHeader+size), size)
	head := len(wire)
	wire = append(wire, kind)
	for _, part := range parts {
		wire = append(wire, part...)
	}
	return &Frame{wire: wire, packet: wire[head:]}
}

// ascii returns the frame with every character outside ASCII as a JSON escape,
// for clients before 3.0.
//
// Some of these decode text as UTF-8 a second time: EIO 2 clients on both
// transports, Socket.IO 1.1 to 1.7 in polling answers in the text framing. 2.x
// does not, but its requests look like those of 1.7. All of them read ASCII the
// same. The escapes are valid, because the server sends characters outside
// ASCII in JSON strings only. PHP's json_encode writes the same escapes by
// default.
func (f *Frame) ascii() *Frame {
	f.escape.Do(func() {
		text := f.packet
		for len(text) > 0 && text[0] < utf8.RuneSelf {
			text = text[1:]
		}
		if len(text) == 0 {
			f.escaped = f
			return
		}
		f.escaped = newFrame(f.packet[0], f.packet[1:len(f.packet)-len(text)], appendASCII(nil, text))
	})
	return f.escaped
}

func appendASCII(b, text []byte) []byte {
	for len(text) > 0 {
		if text[0] < utf8.RuneSelf {
			b, text = append(b, text[0]), text[1:]
			continue
		}
		r, size := utf8.DecodeRune(text)
		text = text[size:]
		if r > 0xffff {
			r -= 0x10000
			b = appendEscape(b, 0xd800+r>>10)
			r = 0xdc00 + r&0x3ff
		}
		b = appendEscape(b, r)
	}
	return b
}

func appendEscape(b []byte, unit rune) []byte {
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', hex[unit>>12&15], hex[unit>>8&15], hex[unit>>4&15], hex[unit&15])
}

// pongFrame returns the answer to a websocket ping. It has no Engine.IO packet,
// so it is for websockets only.
func pongFrame(payload []byte) *Frame { return &Frame{wire: ws.Pong(payload)} }

// join returns the concatenated bytes of frames. It does not copy a single
// frame.
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

var (
	frameClose = permanentFrame(packetClose)
	framePing  = permanentFrame(packetPing)
	frameNoop  = permanentFrame(packetNoop)
	frameProbe = permanentFrame(packetPong, []byte("probe")) // the answer to a probe
)

// permanentFrame returns a frame that all sessions of all servers share. No
// budget counts it.
func permanentFrame(kind byte, parts ...[]byte) *Frame {
	f := newFrame(kind, parts...)
	f.holders.Store(1)
	return f
}
