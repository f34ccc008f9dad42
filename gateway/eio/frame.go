package eio

import (
	"sync"
	"unicode/utf8"

	"github.com/gobwas/ws"
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

// A Frame is one packet to a browser, encoded once for all the sockets that it
// goes to. It is immutable and safe for concurrent use.
type Frame struct {
	wire   []byte // websocket header, then the packet
	packet []byte // type character and data: the tail of wire

	escape  sync.Once
	escaped *Frame
}

// Message returns the frame of a message whose text is the concatenation of
// parts, which must be UTF-8.
func Message(parts ...[]byte) *Frame {
	return newFrame(packetMessage, parts...)
}

func newFrame(kind byte, parts ...[]byte) *Frame {
	size := 1
	for _, part := range parts {
		size += len(part)
	}
	header := ws.Header{Fin: true, OpCode: ws.OpText, Length: int64(size)}
	wire := appendFrameHeader(make([]byte, 0, ws.HeaderSize(header)+size), header)
	head := len(wire)
	wire = append(wire, kind)
	for _, part := range parts {
		wire = append(wire, part...)
	}
	return &Frame{wire: wire, packet: wire[head:]}
}

// ascii returns the frame with every character outside ASCII as a JSON escape.
//
// Clients before 3.0 get it, because some of them decode text as UTF-8 once
// more: EIO 2 everywhere, also on websocket, 1.1 to 1.7 in plain polling
// answers, later ones nowhere; and a request does not tell which of the two
// last it is from. ASCII reads the same to all. Outside ASCII there is
// nothing but JSON strings in what a server sends, and PHP's json_encode
// writes these escapes itself, unless told not to.
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

// control returns a websocket control frame, which has no place in a polling answer.
func control(op ws.OpCode, payload []byte) *Frame {
	header := ws.Header{Fin: true, OpCode: op, Length: int64(len(payload))}
	return &Frame{wire: append(appendFrameHeader(nil, header), payload...)}
}

// appendFrameHeader writes an unmasked header as ws.WriteHeader does, without a writer in between.
func appendFrameHeader(b []byte, h ws.Header) []byte {
	first := byte(h.OpCode)
	if h.Fin {
		first |= 0x80
	}
	switch n := h.Length; {
	case n < 126:
		return append(b, first, byte(n))
	case n <= 0xffff:
		return append(b, first, 126, byte(n>>8), byte(n))
	default:
		return append(b, first, 127, byte(n>>56), byte(n>>48), byte(n>>40), byte(n>>32),
			byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
}

var (
	frameClose = newFrame(packetClose)
	framePing  = newFrame(packetPing)
	frameNoop  = newFrame(packetNoop)
	frameProbe = newFrame(packetPong, []byte("probe"))
	frameShut  = control(ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, "the session has a websocket"))
)
