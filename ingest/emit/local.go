package emit

import "github.com/ramainen/doit-socket/internal/wire"

// A Local is the gateway of the same process. Its sockets are served without
// the bus; docs/decisions/0010-same-process.md says why nobody can tell.
type Local interface {
	// Emit serves the sockets of a user on this node and returns how many took
	// the event, when it is written to them.
	Emit(subject string, payload []byte) (sockets int)
	// Stat counts this node's sockets and users.
	Stat() wire.Stat
}

// serve hands an event to the receivers' sockets on this node and reports
// whether one took it.
func (in *Ingest) serve(subjects []string, payload []byte) (reached bool) {
	for _, subject := range subjects {
		if in.Local.Emit(subject, payload) > 0 {
			reached = true
		}
	}
	return reached
}

// spread hands an event that has reached somebody to the other nodes. Nobody
// has to confirm it, so nobody is asked to.
func (in *Ingest) spread(subjects []string, payload []byte) error {
	for _, subject := range subjects {
		if err := in.nc.Publish(subject, payload); err != nil {
			return err
		}
	}
	return nil
}
