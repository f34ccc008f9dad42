package hub

import "slices"

// A Socket is a Conn's membership: the users that it is registered as.
type Socket struct {
	conn     Conn
	users    []*user // guarded by registry.mu
	detached bool    // guarded by registry.mu

	// For gap.go, guarded by registry.mu. The teller of gaps changes losses under the read lock.

	confirmed bool   // set once NATS has confirmed the first user's subscription; reset when the socket holds no user
	losses    uint64 // of the connection to NATS: those before the confirmation, and those that the socket was told of
}

// has returns the index of a subject among the socket's users, or -1.
func (s *Socket) has(subject string) int {
	return slices.IndexFunc(s.users, func(u *user) bool { return u.subject == subject })
}

// A delivery is of a burst of events to one socket.
type delivery struct {
	socket *Socket
	took   uint64 // which events the socket took by Conn.Send: a bit for each
}

// flush writes to the socket, also if it took nothing, as it may have to
// close, and returns what it took if it is still open.
func (d delivery) flush() (took uint64) {
	if !d.socket.conn.Flush() {
		return 0
	}
	return d.took
}
