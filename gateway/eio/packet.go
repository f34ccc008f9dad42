package eio

import "github.com/ramainen/doit-socket/gateway/ws"

// A packet is a packet from a browser. data is valid while the packet is
// handled.
type packet struct {
	kind   byte // a packet type, or one of those below
	binary bool // only ever with packetMessage
	data   []byte
}

// Kinds of packets besides those of Engine.IO.
const (
	invalid       byte = iota // not a packet of the protocol
	websocketPing             // a ping of RFC 6455
	countedOnly               // a pong of RFC 6455, a fragment or an upgrade request: it only counts against MaxFrames
)

// textPacket parses a packet: a type character and the data behind it.
func textPacket(text []byte) packet {
	if len(text) == 0 || text[0] < packetOpen || text[0] > packetNoop {
		return packet{kind: invalid}
	}
	return packet{kind: text[0], data: text[1:]}
}

// messagePacket converts a websocket message to a packet. A binary message is a
// message packet; in EIO 2 and 3 its data still begins with a type byte.
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
