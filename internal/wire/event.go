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
	// ErrData is returned for an argument that is not one JSON value in UTF-8.
	ErrData = errors.New("the data is not JSON in UTF-8")
	// ErrPayload is returned for a message from NATS that is not a JSON array in
	// UTF-8 whose first element is the event name.
	ErrPayload = errors.New("the message is not a JSON array [\"event\", ...] in UTF-8")
)

// Reserved reports whether Socket.IO clients use the event name themselves. If
// they receive such an event, clients with socket.io-parser 4 close the
// connection, and older clients take it for their own event.
func Reserved(event string) bool {
	switch event {
	case "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener":
		return true
	}
	return false
}

// Encode returns the payload ["event", arg, ...]. It returns [ErrEvent] or
// [ErrData] if the event or an argument is invalid. The browser gets the
// arguments byte for byte: key order, number formats and escapes are kept.
func Encode(event string, args ...[]byte) ([]byte, error) {
	if Reserved(event) || !utf8.ValidString(event) {
		return nil, ErrEvent
	}
	size := len(event) + 4
	for _, arg := range args {
		// json.Valid accepts any bytes inside a string. Text that is not UTF-8
		// would make browsers close their websockets.
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

// Check returns nil if a message from NATS can be sent to sockets, else
// [ErrPayload] or [ErrEvent]. Any NATS client may have published the message.
// Check looks at its shape, its encoding and the event name, and at nothing
// else.
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

// AppendString appends s, which must be UTF-8, to b as a JSON string. It escapes
// only what RFC 8259 demands; encoding/json would also escape < > & for HTML.
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
