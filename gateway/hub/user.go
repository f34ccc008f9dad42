package hub

import (
	"slices"
	"strings"
	"sync"
)

// A user is an id with a socket on this node, or with a subscription that is to be given up.
type user struct {
	subject string

	// Guarded by registry.mu.

	sub     subscription // none until NATS was asked for it
	sockets []*Socket
	// The user's present burst has been sent to sockets[:done] and is to be sent to
	// sockets[done:due]; the rest has come meanwhile. The holder of turn changes
	// them under the read lock.
	done, due int

	queue queue      // of events that wait for their turn
	turn  sync.Mutex // held while events are sent to the sockets
}

// remove takes a socket from the user. The caller holds registry.mu.
func (u *user) remove(s *Socket) {
	hole := slices.Index(u.sockets, s)
	for _, end := range []*int{&u.done, &u.due} {
		if hole < *end { // filled by the last of this part, so that the hole moves on to the next part
			*end--
			u.sockets[hole] = u.sockets[*end]
			hole = *end
		}
	}
	last := len(u.sockets) - 1
	u.sockets[hole], u.sockets[last] = u.sockets[last], nil
	u.sockets = u.sockets[:last]
}

// A recipient is a socket that is to get a message that is not for one user.
// Sockets with one prefix of subjects are in one namespace.
type recipient struct {
	socket *Socket
	prefix string // of the subject of a user that the socket holds
}

// recipients appends the user's sockets. The caller holds registry.mu, or its read lock.
func (u *user) recipients(to []recipient) []recipient {
	prefix := u.subject[:strings.LastIndexByte(u.subject, '.')]
	for _, s := range u.sockets {
		to = append(to, recipient{s, prefix})
	}
	return to
}
