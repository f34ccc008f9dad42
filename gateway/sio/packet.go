package sio

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/zishang520/socket.io-go-parser/v2/parser"
)

// A packet is a Socket.IO packet from a browser:
//
//	type [attachments "-"] ["/namespace" ["?query"] ","] [ack id] [JSON]
//
// A binary packet has the number of its attachments, which follow as messages of
// their own; the JSON has an object {"_placeholder": true, "num": n} for each.
// The server uses no attachment: it reads the JSON of a binary event like that of
// any other, and ignores all else.
//
// Source: socket.io-protocol, revisions 3 (clients 1.x, 2.x: no CONNECT for
// "/", a query may follow the namespace) to 5.
type packet struct {
	kind      parser.PacketType
	namespace string // with its query
	ack       string // the ack id, digits; may be empty
	data      []byte // JSON; may be empty; valid while the packet is handled
}

// Limits in bytes, longer than anything that a client sends.
const (
	maxNamespace = 512
	maxAck       = 20
	maxAuth      = 8 << 10
)

// parsePacket parses a packet; ok is false if it is malformed. A malformed binary
// packet is ok, and has no data, because it is ignored.
func parsePacket(data []byte) (p packet, ok bool) {
	if len(data) == 0 || !parser.PacketType(data[0]).Valid() {
		return packet{}, false
	}
	kind, rest := parser.PacketType(data[0]), data[1:]
	ignored := packet{kind: kind, namespace: "/"}
	switch kind {
	case parser.BINARY_ACK:
		return ignored, true
	case parser.BINARY_EVENT:
		attachments, behind, found := bytes.Cut(rest, []byte{'-'})
		if !found || len(bytes.Trim(attachments, "0123456789")) > 0 {
			return ignored, true
		}
		if p, ok = parseRest(kind, behind); !ok {
			return ignored, true
		}
		return p, true
	}
	return parseRest(kind, rest)
}

// parseRest parses what follows the type and the number of attachments.
func parseRest(kind parser.PacketType, data []byte) (p packet, ok bool) {
	p.kind, p.namespace = kind, "/"
	if len(data) > 0 && data[0] == '/' {
		namespace, rest, _ := bytes.Cut(data, []byte{','})
		if len(namespace) > maxNamespace {
			return packet{}, false
		}
		p.namespace, data = string(namespace), rest
	}
	digits := 0
	for digits < len(data) && data[digits] >= '0' && data[digits] <= '9' {
		digits++
	}
	if digits > maxAck {
		return packet{}, false
	}
	p.ack, p.data = string(data[:digits]), data[digits:]
	return p, len(p.data) == 0 || json.Valid(p.data)
}

// path returns the namespace without its query.
func (p packet) path() string {
	path, _, _ := strings.Cut(p.namespace, "?")
	return path
}

// event returns the name of an EVENT packet and its first argument, if there is
// one. It does not decode the others: a slice of all could take seventy times
// the memory of the packet.
func (p packet) event() (name string, args []json.RawMessage, ok bool) {
	var parts [2]json.RawMessage
	if json.Unmarshal(p.data, &parts) != nil || json.Unmarshal(parts[0], &name) != nil || parts[0][0] != '"' {
		return "", nil, false
	}
	args = parts[1:]
	if len(args[0]) == 0 {
		args = args[:0]
	}
	return name, args, true
}

// head returns the encoded packet up to its JSON.
func (p packet) head() []byte {
	b := append(make([]byte, 0, 32), byte(p.kind))
	if path := p.path(); path != "/" {
		b = append(append(b, path...), ',')
	}
	return append(b, p.ack...)
}
