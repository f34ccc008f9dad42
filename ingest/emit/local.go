package emit

import "github.com/ramainen/doit-socket/internal/wire"

// A Local is the gateway of the same process. Its sockets are served without
// the bus; docs/decisions/0010-same-process.md says why nobody can tell.
type Local interface {
	// Emit serves the sockets of a user on this node and returns how many took
	// the event, when it is written to them.
	Emit(subject string, payload []byte) (sockets int)
	// Alone reports whether there is no other node that a message could reach.
	Alone() bool
	// Stat counts this node's sockets and users.
	Stat() wire.Stat
}

// emitHere serves the receivers' sockets on this node and, where there are
// other nodes, publishes for them. Only where nobody here took the event are
// they asked to confirm it.
func (in *Ingest) emitHere(subjects []string, payload []byte) (reached bool, err error) {
	for _, subject := range subjects {
		if in.Local.Emit(subject, payload) > 0 {
			reached = true
		}
	}
	switch {
	case in.Local.Alone():
		return reached, nil
	case !reached:
		return in.receipts.request(subjects, payload)
	}
	for _, subject := range subjects {
		if err := in.nc.Publish(subject, payload); err != nil {
			return false, err
		}
	}
	return true, nil
}
