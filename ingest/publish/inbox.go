package publish

import (
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
)

// An inbox is the prefix of all reply subjects of a publisher. One subscription receives the answers to all emits. The
// rest of a reply subject identifies the emit and the receiver:
//
//	<inbox>.<number of the emit, base 36>.<index of the receiver>
//	<inbox>.<number of the emit, base 36>.<index of the receiver>.count
//
// The subject must identify both, because NATS's own answer "no responders" contains nothing else. The second form is
// for a request that counts sockets and delivers nothing ([wire.OpCount]).
type inbox string

const countSuffix = ".count"

func newInbox(nc *nats.Conn) inbox { return inbox(nc.NewInbox() + ".") }

// all returns the subject of the subscription.
func (in inbox) all() string { return string(in) + ">" }

// emit returns the prefix of the reply subjects of one emit.
func (in inbox) emit(number uint64) replies {
	return replies(string(in) + strconv.FormatUint(number, 36) + ".")
}

// replies is the prefix of the reply subjects of one emit.
type replies string

// receipt returns the reply subject of the event for one receiver.
func (r replies) receipt(receiver int) string { return string(r) + strconv.Itoa(receiver) }

// count returns the reply subject of a count request for one receiver.
func (r replies) count(receiver int) string { return string(r) + strconv.Itoa(receiver) + countSuffix }

// parse parses a reply subject. ok is false if it has neither form: any program on NATS can publish to it.
func (in inbox) parse(subject string) (number uint64, receiver int, counted, ok bool) {
	rest, counted := strings.CutSuffix(strings.TrimPrefix(subject, string(in)), countSuffix)
	emit, index, _ := strings.Cut(rest, ".")
	number, err := strconv.ParseUint(emit, 36, 64)
	i, errIndex := strconv.ParseUint(index, 10, 16)
	return number, int(i), counted, err == nil && errIndex == nil
}
