package hub

import (
	"errors"
	"fmt"
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

// A Message is an event on its way to the sockets of one user.
type Message struct {
	// Payload is the JSON array ["event", arg, ...].
	Payload []byte
	// Frame is the encoded payload. The first Conn sets it and the others reuse it.
	// One goroutine sends a message to all of its sockets, so it needs no lock.
	Frame any
}
