package relay

import (
	"encoding/binary"
	"errors"
	"strings"
)

// A message goes from one node to another. It is about a stream, or says that the node is alive.
type message struct {
	kind   byte
	origin byte   // fromOpener or fromAcceptor
	from   string // name of the node that sends it
	id     uint64 // of the stream, given by the node that opened it
	number uint64 // kindData, kindEnd: the number of such messages before it; kindRead: bytes read in all
	data   []byte // kindData only
}

// Kinds of messages.
const (
	kindOpen  = 'o' // opens the stream
	kindData  = 'd' // carries the next bytes
	kindEnd   = 'e' // the node writes no more
	kindRead  = 't' // how many bytes the node has read in all, which makes room in the window
	kindBreak = 'b' // breaks the stream
	kindAlive = 'a' // about no stream: the node is alive
)

// Origins: which end of the stream has sent a message.
const (
	fromOpener   = '>'
	fromAcceptor = '<'
)

const (
	// nameLength is the length of a node's name, which consists of the characters 0-9 and a-f.
	nameLength = 16
	// headLength is the length of an encoded message without its data, in bytes.
	headLength = 2 + nameLength + 8 + 8
	// maxData is the largest data of a message, in bytes. It is far below 1 MB,
	// the default limit of NATS.
	maxData = 32 << 10
)

var errMessage = errors.New("relay: malformed message")

// append appends the encoded message to b.
func (m message) append(b []byte) []byte {
	b = append(b, m.kind, m.origin)
	b = append(b, m.from...)
	b = binary.BigEndian.AppendUint64(b, m.id)
	b = binary.BigEndian.AppendUint64(b, m.number)
	return append(b, m.data...)
}

// parse decodes a message. m.data refers to b. m.from is valid as a token of a subject. The only
// error is errMessage.
func parse(b []byte) (message, error) {
	if len(b) < headLength || len(b) > headLength+maxData {
		return message{}, errMessage
	}
	m := message{
		kind: b[0], origin: b[1], from: string(b[2 : 2+nameLength]),
		id:     binary.BigEndian.Uint64(b[2+nameLength:]),
		number: binary.BigEndian.Uint64(b[2+nameLength+8:]),
	}
	if len(b) > headLength {
		m.data = b[headLength:]
	}
	switch {
	case m.origin != fromOpener && m.origin != fromAcceptor,
		!strings.ContainsRune("odetba", rune(m.kind)),
		(m.kind == kindData) != (m.data != nil),
		strings.Trim(m.from, "0123456789abcdef") != "":
		return message{}, errMessage
	}
	return m, nil
}
