package wire

import (
	"bytes"
	"errors"
	"strconv"
)

// Headers of a message are options; a gateway ignores those that it does not know.
const (
	// HeaderOp asks for something other than delivery: [OpCount] or [OpDisconnect].
	HeaderOp = "Doit-Op"
	// HeaderAck asks for the browsers' own acknowledgements and says how many
	// milliseconds the publisher waits for them. Reserved: gateways deliver the
	// event and do not ask.
	HeaderAck = "Doit-Ack"
	// HeaderExcept names a socket that is left out, by its Socket.IO id.
	HeaderExcept = "Doit-Except"
	// HeaderID names the message, for whoever keeps a log. Gateways ignore it.
	HeaderID = "Doit-Id"
)

// Values of [HeaderOp]. Both are answered with a [Receipt].
const (
	// OpCount counts the user's sockets; the payload is ignored.
	OpCount = "count"
	// OpDisconnect closes the user's sockets; the payload is ignored.
	OpDisconnect = "disconnect"
)

// ErrReceipt is returned for an answer that is no receipt.
var ErrReceipt = errors.New("not a receipt")

// A Receipt is a gateway's answer to a message: on the wire "sockets node",
// a decimal number, a space, a name.
type Receipt struct {
	Sockets int    // how many sockets of the user took the event
	Node    string // the label of the gateway that answers; several may have the same
}

// Append appends the receipt's bytes.
func (r Receipt) Append(b []byte) []byte {
	b = strconv.AppendInt(b, int64(r.Sockets), 10)
	return append(append(b, ' '), r.Node...)
}

// ParseReceipt reads what [Receipt.Append] wrote.
func ParseReceipt(data []byte) (Receipt, error) {
	count, node, ok := bytes.Cut(data, []byte{' '})
	n, err := strconv.Atoi(string(count))
	if !ok || err != nil || n < 0 {
		return Receipt{}, ErrReceipt
	}
	return Receipt{Sockets: n, Node: string(node)}, nil
}

// A Stat is a gateway's answer on [SubjectStat]: on the wire
// "sockets users node".
type Stat struct {
	Sockets int    // connected sockets, registered or not
	Users   int    // distinct registered ids
	Node    string // as in [Receipt]
}

// Append appends the stat's bytes.
func (s Stat) Append(b []byte) []byte {
	b = append(strconv.AppendInt(b, int64(s.Sockets), 10), ' ')
	return Receipt{Sockets: s.Users, Node: s.Node}.Append(b)
}

// ParseStat reads what [Stat.Append] wrote.
func ParseStat(data []byte) (Stat, error) {
	sockets, rest, _ := bytes.Cut(data, []byte{' '})
	n, err := strconv.Atoi(string(sockets))
	users, errUsers := ParseReceipt(rest)
	if err != nil || errUsers != nil || n < 0 {
		return Stat{}, ErrReceipt
	}
	return Stat{Sockets: n, Users: users.Sockets, Node: users.Node}, nil
}
