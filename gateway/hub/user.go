package hub

import (
	"slices"
	"strings"
)

// A user is an id that has a socket on this node, or a subscription that is no longer wanted.
type user struct {
	subject string

	// Guarded by registry.mu.

	sub     subscription // does not exist until subscriptions.apply has subscribed
	sockets []*Socket
	// The current burst has been sent to sockets[:done] and has yet to be sent to
	// sockets[done:due]. It skips sockets[due:], which joined after it began. Who
	// has the turn changes done and due under the read lock.
	done, due int

	queue queue // the events that wait, and the turn

	// Used by who has the turn.

	burst *emit // the events that are being sent; nil if there are none
	begun bool  // burst was sent to some sockets

	behind *user // the next one in the line; guarded by line.mu
}

// remove removes a socket from the user. The last socket of each part of sockets fills the hole of
// the part before, so done and due stay correct. The caller holds registry.mu.
func (u *user) remove(s *Socket) {
	hole := slices.Index(u.sockets, s)
	for _, end := range []*int{&u.done, &u.due} {
		if hole < *end { // fill the hole with the last socket of this part; the hole moves to the part's end
			*end--
			u.sockets[hole] = u.sockets[*end]
			hole = *end
		}
	}
	last := len(u.sockets) - 1
	u.sockets[hole], u.sockets[last] = u.sockets[last], nil
	u.sockets = u.sockets[:last]
}

// A recipient is a socket that may get a gap event.
type recipient struct {
	socket *Socket
	prefix string // the subject of one of its users without the last token; sockets of one namespace have the same
}

// recipients appends the user's sockets to to. The caller holds registry.mu at least for reading.
func (u *user) recipients(to []recipient) []recipient {
	prefix := u.subject[:strings.LastIndexByte(u.subject, '.')]
	for _, s := range u.sockets {
		to = append(to, recipient{s, prefix})
	}
	return to
}
