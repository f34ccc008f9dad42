package hub

import (
	"errors"
	"fmt"
	"sync/atomic"
)

// Errors of a registration. The page gets their text as the answer to register.
var (
	// ErrTooManyUsers reports that the socket would exceed its limit of ids. [TooManyUsers] adds
	// the limit.
	ErrTooManyUsers = errors.New("too many ids")
	// ErrGone reports that the socket or the hub closed before the registration was confirmed.
	ErrGone = errors.New("the connection is closed")
)

// TooManyUsers returns [ErrTooManyUsers] with the limit that was exceeded.
func TooManyUsers(limit int) error {
	return fmt.Errorf("%w: a socket may hold %d", ErrTooManyUsers, limit)
}

// A Conn is the connection behind a [Socket]. Send is called while the registry is locked: it must
// only queue the event, and must not call the hub. Flush and Close are called without that lock.
// The methods must be safe for concurrent use.
type Conn interface {
	// ID returns the Socket.IO id of the socket, which the page knows, too.
	ID() string
	// Send queues an event and reports whether the socket took it. A closed one does not.
	Send(*Message) bool
	// Flush writes queued events until the kernel takes no more, and closes the
	// socket if too many are left in the queue. It reports whether the socket is
	// still open. It does not wait for the network.
	Flush() (open bool)
	// Close closes the socket because of a disconnect message on NATS.
	Close()
}

// A Message is an event on its way to sockets. All sockets of all users that get the event share
// it. It is safe for concurrent use.
type Message struct {
	// Payload is the JSON array ["event", arg, ...]. It is not changed.
	Payload []byte

	encoded atomic.Value
	waiting atomic.Int32 // events of this payload that line.admit counts
}

// Encoded returns what SetEncoded has stored, or nil.
func (m *Message) Encoded() any { return m.encoded.Load() }

// SetEncoded stores the encoded payload, so that it is encoded once for all sockets. If two
// goroutines store it at the same time, one of the two equal values stays.
func (m *Message) SetEncoded(frame any) { m.encoded.Store(frame) }
