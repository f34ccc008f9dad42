package relay

import (
	"encoding/binary"
	"errors"
	"strings"
)

// A message is what two nodes say to each other about one stream.
type message struct {
	kind   byte
	origin byte   // fromOpener or fromAcceptor
	from   string // the node that speaks
	id     uint64 // of the stream, given by the node that opened it
	number uint64 // kindData, kindEnd: how many came before it; kindTaken: bytes
	data   []byte // kindData only
}

// The kinds of messages.
const (
	kindOpen  = 'o' // a stream begins
	kindData  = 'd' // bytes of it
	kindEnd   = 'e' // there are no more
	kindTaken = 't' // so many bytes were taken in all: others may follow
	kindBreak = 'b' // the stream is no more
	kindAlive = 'a' // of no stream: the node is there
)

const (
	fromOpener   = '>'
	fromAcceptor = '<'
)

const (
	// nameLength is the length of a node's name, in characters 0-9, a-f.
	nameLength = 16
	headLength = 2 + nameLength + 8 + 8
	// maxData is how many bytes one message carries, far below what NATS allows.
	maxData = 32 << 10
)

var errMessage = errors.New("not a message between nodes")

// append appends the message's bytes.
func (m message) append(b []byte) []byte {
	b = append(b, m.kind, m.origin)
	b = append(b, m.from...)
	b = binary.BigEndian.AppendUint64(b, m.id)
	b = binary.BigEndian.AppendUint64(b, m.number)
	return append(b, m.data...)
}

// parse reads what append wrote. The data stay in b.
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
