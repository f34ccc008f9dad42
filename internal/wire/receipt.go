package wire

import (
	"bytes"
	"errors"
	"strconv"
)

// Headers of a message are its options. A gateway ignores unknown headers.
const (
	// HeaderOp is the operation: [OpCount] or [OpDisconnect]. Without it the
	// event is delivered.
	HeaderOp = "Doit-Op"
	// HeaderAck is reserved for asking browsers for acks. Its value is how long
	// the publisher waits for them, in milliseconds. Gateways ignore it and
	// deliver the event.
	HeaderAck = "Doit-Ack"
	// HeaderExcept is the Socket.IO id of a socket that does not get the event.
	HeaderExcept = "Doit-Except"
	// HeaderID is an id of the message, for logs of NATS messages. Gateways
	// ignore it.
	HeaderID = "Doit-Id"
)

// Values of [HeaderOp]. Both are answered with a [Receipt].
const (
	// OpCount counts the user's sockets; the payload is ignored.
	OpCount = "count"
	// OpDisconnect closes the user's sockets; the payload is ignored.
	OpDisconnect = "disconnect"
)

// ErrReceipt is returned for bytes that are not a [Receipt] or not a [Stat].
var ErrReceipt = errors.New("not a receipt")

// A Receipt is a gateway's answer to a message. On the wire it is "sockets
// node": a decimal number, a space and the label.
type Receipt struct {
	Sockets int    // how many sockets of the user took the event
	Node    string // the label of the gateway that answers; labels need not be unique
}

// Append appends the encoded receipt to b.
func (r Receipt) Append(b []byte) []byte {
	b = strconv.AppendInt(b, int64(r.Sockets), 10)
	return append(append(b, ' '), r.Node...)
}

// ParseReceipt decodes a receipt. It returns [ErrReceipt] if it is malformed.
func ParseReceipt(data []byte) (Receipt, error) {
	count, node, ok := bytes.Cut(data, []byte{' '})
	n, err := strconv.Atoi(string(count))
	if !ok || err != nil || n < 0 {
		return Receipt{}, ErrReceipt
	}
	return Receipt{Sockets: n, Node: string(node)}, nil
}

// A Stat is a gateway's answer to a message on [SubjectStat]. On the wire it is
// "sockets users node".
type Stat struct {
	Sockets int    // connected sockets, registered or not
	Users   int    // distinct registered ids
	Node    string // as in [Receipt]
}

// Append appends the encoded stat to b.
func (s Stat) Append(b []byte) []byte {
	b = append(strconv.AppendInt(b, int64(s.Sockets), 10), ' ')
	return Receipt{Sockets: s.Users, Node: s.Node}.Append(b)
}

// ParseStat decodes a stat. It returns [ErrReceipt] if it is malformed.
func ParseStat(data []byte) (Stat, error) {
	sockets, rest, _ := bytes.Cut(data, []byte{' '})
	n, err := strconv.Atoi(string(sockets))
	users, errUsers := ParseReceipt(rest)
	if err != nil || errUsers != nil || n < 0 {
		return Stat{}, ErrReceipt
	}
	return Stat{Sockets: n, Users: users.Sockets, Node: users.Node}, nil
}
