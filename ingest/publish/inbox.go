package publish

import (
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
)

// An inbox is the prefix of all reply subjects of a publisher. Its one subscription receives the answers to all
// emits. The rest of a reply subject says what an answer is about:
//
//	<inbox>.<number of the emit, base 36>.<index of the receiver>
//	<inbox>.<number of the emit, base 36>.<index of the receiver>.count
//
// NATS's own answer "no responders" carries nothing else that says whom it is about. The second form is for questions
// that only count sockets.
type inbox string

const countSuffix = ".count"

func newInbox(nc *nats.Conn) inbox { return inbox(nc.NewInbox() + ".") }

// all is the subject of the subscription.
func (in inbox) all() string { return string(in) + ">" }

// emit returns the prefix of the reply subjects of one emit.
func (in inbox) emit(number uint64) replies {
	return replies(string(in) + strconv.FormatUint(number, 36) + ".")
}

// replies is the prefix of the reply subjects of one emit.
type replies string

// receipt is the reply subject of the event to one receiver.
func (r replies) receipt(receiver int) string { return string(r) + strconv.Itoa(receiver) }

// count is the reply subject of a question for the number of a receiver's sockets.
func (r replies) count(receiver int) string { return string(r) + strconv.Itoa(receiver) + countSuffix }

// parse reads a reply subject. Anybody on NATS may have written it; ok is false if it is none of the above.
func (in inbox) parse(subject string) (number uint64, receiver int, counted, ok bool) {
	rest, counted := strings.CutSuffix(strings.TrimPrefix(subject, string(in)), countSuffix)
	emit, index, _ := strings.Cut(rest, ".")
	number, err := strconv.ParseUint(emit, 36, 64)
	i, errIndex := strconv.ParseUint(index, 10, 16)
	return number, int(i), counted, err == nil && errIndex == nil
}
