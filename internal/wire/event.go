package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

var (
	// ErrEvent is returned for an event name that is not UTF-8 or is [Reserved].
	ErrEvent = errors.New("the event name is not UTF-8 or is reserved by Socket.IO")
	// ErrData is returned for an argument that is not one JSON text in UTF-8.
	ErrData = errors.New("the data is not JSON in UTF-8")
	// ErrPayload is returned for a message from the bus that is not a JSON
	// array, in UTF-8, with an event name first.
	ErrPayload = errors.New("the message is not a JSON array [\"event\", ...] in UTF-8")
)

// Reserved reports whether a Socket.IO client refuses to receive an event of
// this name: socket.io-parser 4 answers it by closing the connection, older
// clients mistake it for an event of their own.
func Reserved(event string) bool {
	switch event {
	case "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener":
		return true
	}
	return false
}

// Encode returns the payload ["event", arg, ...]. The arguments are checked
// here, once, and travel byte for byte from here to the browser: key order,
// the spelling of numbers and escapes survive.
func Encode(event string, args ...[]byte) ([]byte, error) {
	if Reserved(event) || !utf8.ValidString(event) {
		return nil, ErrEvent
	}
	size := len(event) + 4
	for _, arg := range args {
		// json.Valid lets any bytes stand inside a string: ask for UTF-8 too,
		// or one page in an old code page closes its receivers' websockets.
		if !utf8.Valid(arg) || !json.Valid(arg) {
			return nil, ErrData
		}
		size += len(arg) + 1
	}
	payload := AppendString(append(make([]byte, 0, size), '['), event)
	for _, arg := range args {
		payload = append(append(payload, ','), arg...)
	}
	return append(payload, ']'), nil
}

// Check says whether a message from the bus can be sent to a socket. Anyone
// with access to the bus may have published it, so it is looked at for shape,
// UTF-8 and a reserved name; nothing else is the gateway's business.
func Check(payload []byte) error {
	if !utf8.Valid(payload) || !json.Valid(payload) {
		return ErrPayload
	}
	name := bytes.TrimLeft(payload, " \t\r\n")
	if name[0] != '[' {
		return ErrPayload
	}
	name = bytes.TrimLeft(name[1:], " \t\r\n")
	if name[0] != '"' {
		return ErrPayload
	}
	end := 1
	for name[end] != '"' {
		if name[end] == '\\' {
			end++
		}
		end++
	}
	raw := name[1:end]
	if bytes.IndexByte(raw, '\\') < 0 {
		if Reserved(string(raw)) {
			return ErrEvent
		}
		return nil
	}
	var event string
	if err := json.Unmarshal(name[:end+1], &event); err != nil {
		return ErrPayload
	}
	if Reserved(event) {
		return ErrEvent
	}
	return nil
}

// AppendString appends s, which must be UTF-8, as a JSON string. Only what
// RFC 8259 demands is escaped: encoding/json would write < > & for HTML.
func AppendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(b, s[from:]...), '"')
}
