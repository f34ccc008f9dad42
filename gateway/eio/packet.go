package eio

// A packet is what a browser sent. Its data is lent.
type packet struct {
	kind   byte // a packet type, or one of those below
	binary bool // only ever with packetMessage
	data   []byte
}

const (
	invalid     byte = iota // no packet of the protocol
	socketPing              // a ping of the websocket itself, RFC 6455
	socketFrame             // a pong of it, a fragment, or a handshake: it only counts
)

// textPacket reads a type character and what follows it.
func textPacket(text []byte) packet {
	if len(text) == 0 || text[0] < packetOpen || text[0] > packetNoop {
		return packet{kind: invalid}
	}
	return packet{kind: text[0], data: text[1:]}
}

// socketPacket reads a websocket message. A binary one is a message packet;
// revisions 2 and 3 put a type byte first, which the layer above can tell.
func socketPacket(message []byte, text bool) packet {
	if text {
		return textPacket(message)
	}
	return packet{kind: packetMessage, binary: true, data: message}
}
