package eio

import "github.com/ramainen/doit-socket/gateway/ws"

// A packet is what a browser sent. Its data is lent.
type packet struct {
	kind   byte // a packet type, or one of those below
	binary bool // only ever with packetMessage
	data   []byte
}

// Kinds of packets that are none of Engine.IO.
const (
	invalid       byte = iota // no packet of the protocol
	websocketPing             // a ping of the websocket itself, RFC 6455
	countedOnly               // a pong of it, a fragment, or a handshake: it counts against MaxFrames
)

// textPacket reads a type character and what follows it.
func textPacket(text []byte) packet {
	if len(text) == 0 || text[0] < packetOpen || text[0] > packetNoop {
		return packet{kind: invalid}
	}
	return packet{kind: text[0], data: text[1:]}
}

// messagePacket reads what came on a websocket. A binary message is a message
// packet; revisions 2 and 3 put a type byte first, which the layer above can tell.
func messagePacket(m ws.Message) packet {
	switch m.Kind {
	case ws.Text:
		return textPacket(m.Data)
	case ws.Binary:
		return packet{kind: packetMessage, binary: true, data: m.Data}
	case ws.Ping:
		return packet{kind: websocketPing, data: m.Data}
	}
	return packet{kind: countedOnly}
}
