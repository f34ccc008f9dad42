package eio

import (
	"bytes"
	"encoding/base64"
	"iter"
	"strconv"
	"strings"
	"sync/atomic"
	"unicode/utf8"
)

// The framings of polling bodies. A body holds one packet or more:
//
//	EIO 4     packet 0x1e packet ..., UTF-8, binary packets as 'b' base64
//	EIO 2, 3  binary: 0 (text) or 1 (binary), the length's digits as bytes 0-9, 0xff, packet
//	          text:   length in UTF-16 units ':' packet ..., binary packets as 'b4' base64
//
// EIO 2 and 3 clients ask for answers in the text framing by b64=1. The others
// get the binary framing, which all of them read. Those before 1.4 would mistake
// an answer in the text framing for "ok" and open one session after the other.

const separator = 0x1e

const (
	typeText   = "text/plain; charset=UTF-8"
	typeBinary = "application/octet-stream"
)

// A codec encodes and decodes the packets of one session, in the revision and
// with the quirks of its client. It is safe for concurrent use.
type codec struct {
	protocol    int         // 2, 3 or 4
	base64      bool        // EIO 2 and 3: polling answers are in the text framing
	encodesOnce atomic.Bool // EIO 2 and 3: the client encodes text as UTF-8 once, not twice
}

// forClient returns the frame in the form that the session's client reads.
func (c *codec) forClient(f *Frame) *Frame {
	if c.protocol < 4 {
		return f.ascii()
	}
	return f
}

// payload returns the content type of a polling answer, its length in bytes and
// its parts. A part is valid until the next one is asked for. Packets are not
// copied: a frame that many sessions get is in memory once, however slowly they
// read it.
func (c *codec) payload(frames []*Frame) (contentType string, size int, parts iter.Seq[[]byte]) {
	var buffer [maxHead]byte
	for i, f := range frames {
		size += len(c.appendHead(buffer[:0], i == 0, len(f.packet))) + len(f.packet)
	}
	parts = func(yield func([]byte) bool) {
		var buffer [maxHead]byte
		for i, f := range frames {
			if !yield(c.appendHead(buffer[:0], i == 0, len(f.packet))) || !yield(f.packet) {
				return
			}
		}
	}
	if c.protocol < 4 && !c.base64 {
		return typeBinary, size, parts
	}
	return typeText, size, parts
}

// maxHead is the length of the longest head that appendHead appends.
const maxHead = 1 + 20 + 1

// appendHead appends what stands before a packet of the given length in a
// polling answer.
func (c *codec) appendHead(b []byte, first bool, length int) []byte {
	switch {
	case c.protocol == 4 && first:
		return b
	case c.protocol == 4:
		return append(b, separator)
	case c.base64:
		return append(strconv.AppendInt(b, int64(length), 10), ':') // the packet is ASCII: UTF-16 units are bytes
	}
	b = strconv.AppendInt(append(b, 0), int64(length), 10)
	for i := 1; i < len(b); i++ {
		b[i] -= '0'
	}
	return append(b, 0xff)
}

// decodePayload calls handle with each packet of a POST's body and reports
// whether the body is well formed. Its work is linear in the body's length, not
// in the lengths that the body declares.
func (c *codec) decodePayload(body []byte, contentType string, handle func(packet)) bool {
	switch {
	case c.protocol == 4:
		return decodeSeparated(body, handle)
	case strings.HasPrefix(contentType, typeBinary):
		return decodeBinary(body, handle)
	default:
		return c.decodeTextFraming(body, handle)
	}
}

func decodeSeparated(body []byte, handle func(packet)) bool {
	if !utf8.Valid(body) {
		return false
	}
	for more := true; more; {
		var one []byte
		one, body, more = bytes.Cut(body, []byte{separator})
		if len(one) > 0 && one[0] == 'b' {
			if !decodeBase64(one[1:], handle) {
				return false
			}
			continue
		}
		p := textPacket(one)
		if p.kind == invalid {
			return false
		}
		handle(p)
	}
	return true
}

func decodeBinary(body []byte, handle func(packet)) bool {
	for len(body) > 0 {
		kind := body[0]
		length, digits := 0, 0
		for _, digit := range body[1:] {
			if digit > 9 || length > len(body) {
				break
			}
			length = length*10 + int(digit)
			digits++
		}
		start := 1 + digits + 1
		if kind > 1 || digits == 0 || start > len(body) || body[start-1] != 0xff || length == 0 || length > len(body)-start {
			return false
		}
		one := body[start : start+length]
		body = body[start+length:]
		switch {
		case kind == 1 && one[0] == packetMessage-'0':
			handle(packet{kind: packetMessage, binary: true, data: one[1:]})
		case kind == 0 && utf8.Valid(one):
			p := textPacket(one)
			if p.kind == invalid {
				return false
			}
			handle(p)
		default:
			return false
		}
	}
	return true
}

func (c *codec) decodeTextFraming(body []byte, handle func(packet)) bool {
	if !utf8.Valid(body) {
		return false
	}
	for len(body) > 0 {
		digits, rest, ok := bytes.Cut(body, []byte{':'})
		units, err := strconv.ParseUint(string(digits[:min(len(digits), 10)]), 10, 32)
		if !ok || err != nil || len(digits) > 10 || units == 0 {
			return false
		}
		size, ok := unitsToBytes(rest, int(units))
		if !ok {
			return false
		}
		one := rest[:size]
		body = rest[size:]
		if one[0] == 'b' {
			if len(one) < 2 || one[1] != packetMessage || !decodeBase64(one[2:], handle) {
				return false
			}
			continue
		}
		p := textPacket(c.undoDoubleUTF8(one))
		if p.kind == invalid {
			return false
		}
		handle(p)
	}
	return true
}

// unitsToBytes returns the length in bytes of the beginning of text that has so
// many UTF-16 units. ok is false if there is none.
func unitsToBytes(text []byte, units int) (size int, ok bool) {
	for units > 0 && size < len(text) {
		_, n := utf8.DecodeRune(text[size:])
		size += n
		units--
		if n == 4 {
			units--
		}
	}
	return size, units == 0
}

// decodeText decodes the text of a websocket message. Only EIO 2 clients encode
// it twice.
func (c *codec) decodeText(text []byte) []byte {
	if c.protocol == 2 {
		return c.undoDoubleUTF8(text)
	}
	return text
}

// undoDoubleUTF8 decodes the second UTF-8 encoding that clients up to 1.7 apply
// to polling bodies in the text framing, and EIO 2 clients also to websocket
// text.
//
// A request does not tell 1.4 to 1.7 from 2.x, which encodes once, but the text
// does. The characters of text that was encoded twice are all below U+0100 and,
// as bytes, are UTF-8 again. Other text was encoded once; the session's later
// text is then taken to be encoded once, too.
func (c *codec) undoDoubleUTF8(text []byte) []byte {
	if c.encodesOnce.Load() {
		return text
	}
	bytes := make([]byte, 0, len(text))
	for rest := text; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		if r > 0xff {
			c.encodesOnce.Store(true)
			return text
		}
		bytes = append(bytes, byte(r))
		rest = rest[n:]
	}
	if !utf8.Valid(bytes) {
		c.encodesOnce.Store(true)
		return text
	}
	return bytes
}

func decodeBase64(text []byte, handle func(packet)) bool {
	data := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(data, text)
	if err != nil {
		return false
	}
	handle(packet{kind: packetMessage, binary: true, data: data[:n]})
	return true
}
