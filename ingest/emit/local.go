package emit

// A Local is the gateway of the same process. While no other node could have
// sockets, an emit goes to it and not over the bus; docs/decisions/0010 says
// what that gains and why nobody can tell.
type Local interface {
	// Alone reports whether no message on the bus could reach another node.
	Alone() bool
	// Emit serves the sockets of a user and returns how many took the event,
	// when it is written to them.
	Emit(subject string, payload []byte) (sockets int)
}

func emitTo(local Local, subjects []string, payload []byte) (reached bool) {
	for _, subject := range subjects {
		if local.Emit(subject, payload) > 0 {
			reached = true
		}
	}
	return reached
}
