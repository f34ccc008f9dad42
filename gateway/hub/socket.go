package hub

import "slices"

// A Socket is a Conn with the users that it is registered as. It is not copied after its first
// registration. [Hub.Detach] must be called when the Conn has closed.
type Socket struct {
	conn     Conn
	users    []*user // guarded by registry.mu
	detached bool    // guarded by registry.mu

	// For gap.go. Guarded by registry.mu, except that the goroutine of gaps.run changes losses
	// under the read lock.

	confirmed bool   // NATS has confirmed a subscription of this socket since it last had no user
	losses    uint64 // how often the NATS connection was lost before the confirmation, or up to the last gap event
}

// NewSocket returns a socket for c that is registered as no user. It may be a part of c: then a
// fan-out has one place less in memory to look for.
func NewSocket(c Conn) Socket { return Socket{conn: c} }

// has returns the index of a subject among the socket's users, or -1.
func (s *Socket) has(subject string) int {
	return slices.IndexFunc(s.users, func(u *user) bool { return u.subject == subject })
}

// A delivery is one burst sent to one socket.
type delivery struct {
	socket *Socket
	took   uint64 // bit i is set if Conn.Send took the i-th event
}

// flush calls Conn.Flush, even if the socket took no event, because that closes a socket
// with too much in its queue. It returns took if the socket is still open, else 0.
func (d delivery) flush() (took uint64) {
	if !d.socket.conn.Flush() {
		return 0
	}
	return d.took
}
