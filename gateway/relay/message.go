package relay

import (
	"encoding/binary"
	"errors"
	"strings"
)

// A message is what one node tells another about a stream, or about itself.
type message struct {
	kind   byte
	origin byte   // fromOpener or fromAcceptor
	from   string // name of the node that sends it
	id     uint64 // of the stream, given by the node that opened it
	number uint64 // kindData, kindEnd: how many of these came before it; kindTaken: bytes
	data   []byte // kindData only
}

// Kinds of messages.
const (
	kindOpen  = 'o' // the stream begins
	kindData  = 'd' // the next bytes
	kindEnd   = 'e' // the sender of this message writes no more
	kindTaken = 't' // how many bytes were read in all: the window has room for others
	kindBreak = 'b' // the stream is no more
	kindAlive = 'a' // of no stream: the node is there
)

// Which end of the stream has sent a message.
const (
	fromOpener   = '>'
	fromAcceptor = '<'
)

const (
	// nameLength is the length of a node's name, in characters 0-9, a-f.
	nameLength = 16
	// headLength is the length of an encoded message without its data, in bytes.
	headLength = 2 + nameLength + 8 + 8
	// maxData is how many bytes of data a message carries at most, far below
	// the 1 MB that NATS allows by default.
	maxData = 32 << 10
)

var errMessage = errors.New("not a message between nodes")

// append appends the encoded message to b.
func (m message) append(b []byte) []byte {
	b = append(b, m.kind, m.origin)
	b = append(b, m.from...)
	b = binary.BigEndian.AppendUint64(b, m.id)
	b = binary.BigEndian.AppendUint64(b, m.number)
	return append(b, m.data...)
}

// parse decodes a message. Its data refers to b. Its name is safe in a subject.
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
