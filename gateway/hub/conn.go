package hub

import (
	"errors"
	"fmt"
)

// Errors that a page gets as the answer to register.
var (
	// ErrTooManyUsers is returned, by way of [TooManyUsers], when a socket would hold more ids than it may.
	ErrTooManyUsers = errors.New("too many ids")
	// ErrGone is returned when the socket or the hub has closed meanwhile.
	ErrGone = errors.New("the connection is closed")
)

// TooManyUsers is [ErrTooManyUsers] with the limit that was passed.
func TooManyUsers(limit int) error {
	return fmt.Errorf("%w: a socket may hold %d", ErrTooManyUsers, limit)
}

// A Conn is a socket as the hub sees it. Send is called with the registry's
// lock held: it must only queue, and call nothing of the hub. Flush and Close
// are called without it.
type Conn interface {
	// ID is the Socket.IO id that the page knows.
	ID() string
	// Send queues an event and reports whether the socket took it.
	Send(*Message) bool
	// Flush writes what Send has queued, as far as the network takes it, and
	// reports whether the socket is still open.
	Flush() (open bool)
	// Close ends the socket because NATS asked for it.
	Close()
}

// A Message is an event on its way to the sockets of one user.
type Message struct {
	// Payload is the JSON array ["event", arg, ...].
	Payload []byte
	// Frame is set by the first Conn that encodes the payload, for the others.
	// One goroutine hands a message to all its sockets.
	Frame any
}
