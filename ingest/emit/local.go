package emit

import (
	"time"

	"github.com/ramainen/doit-socket/internal/wire"
)

// A Local is the gateway of the same process. While no other node could have
// sockets, an emit goes to it and not over the bus; docs/decisions/0010 says
// what that gains and why nobody can tell.
type Local interface {
	// Alone reports whether no message on the bus could reach another node.
	Alone() bool
	// Emit serves the sockets of a user and returns the receipt, when the
	// event is written to them.
	Emit(wire.Message) wire.Receipt
}

// isAlone reports whether an emit goes to [Ingest.Local]. While others were
// there a moment ago it does not: an emit that they have answered may still be
// on its way to the sockets here, and what follows must not overtake it.
func (in *Ingest) isAlone() bool {
	if in.Local == nil {
		return false
	}
	alone := in.Local.Alone()
	in.mu.Lock()
	defer in.mu.Unlock()
	if !alone {
		in.joined = time.Now()
	}
	return alone && time.Since(in.joined) >= 2*in.receipts.bound // it was answered in one
}

func emitTo(local Local, subjects []string, payload []byte) (reached bool) {
	for _, subject := range subjects {
		if local.Emit(wire.Message{Subject: subject, Payload: payload}).Sockets > 0 {
			reached = true
		}
	}
	return reached
}
