package hub

import (
	"slices"
	"sync"
)

// A registry records which users have which sockets on this node. It does no I/O and waits for
// nothing but its lock. It records which users lack a subscription and which subscriptions are no
// longer wanted; subscriptions.go applies that.
//
// Further limits on new users, by address or by node, would go into add.
type registry struct {
	maxUsers int
	wake     signal // raised when a user is added to changed

	mu sync.RWMutex
	// Guarded by mu, as are the fields of user and Socket that say so.
	users  map[string]*user // by subject; a user without sockets has a subscription that is no longer wanted
	active int              // users with sockets
	// changed holds the users with sockets and no subscription, and those with a
	// subscription and no sockets, without those that takeChanged has returned.
	// It is a set, so a user that comes and goes many times takes one entry at most.
	changed map[*user]struct{}
	closed  bool
}

func newRegistry(maxUsers int, wake signal) *registry {
	return &registry{
		maxUsers: maxUsers, wake: wake,
		users: make(map[string]*user), changed: make(map[*user]struct{}),
	}
}

// add registers the socket as the users of the subjects, all or none. It returns the subjects that
// the socket was not registered for before.
func (r *registry) add(s *Socket, subjects []string) (added []string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.detached || r.closed {
		return nil, ErrGone
	}
	for _, subject := range subjects {
		if s.has(subject) < 0 && !slices.Contains(added, subject) {
			added = append(added, subject)
		}
	}
	if len(s.users)+len(added) > r.maxUsers {
		return nil, TooManyUsers(r.maxUsers)
	}
	if len(s.users) == 0 {
		s.confirmed = false
	}
	for _, subject := range added {
		u := r.users[subject]
		if u == nil {
			u = &user{subject: subject}
			r.users[subject] = u
		}
		s.users, u.sockets = append(s.users, u), append(u.sockets, s)
		if len(u.sockets) == 1 {
			r.active++
			r.note(u)
		}
	}
	return added, nil
}

// note updates changed after u has got its first socket or lost its last one. The caller holds mu.
func (r *registry) note(u *user) {
	if (len(u.sockets) > 0) == u.sub.exists() {
		delete(r.changed, u)
		return
	}
	r.changed[u] = struct{}{}
	r.wake.raise()
}

// remove unregisters the socket from the users of the subjects. Subjects that it is not registered
// for are ignored.
func (r *registry) remove(s *Socket, subjects []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, subject := range subjects {
		if i := s.has(subject); i >= 0 {
			r.unlink(s, i)
		}
	}
}

// detach unregisters the socket from all users for good.
func (r *registry) detach(s *Socket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.detached = true
	for len(s.users) > 0 {
		r.unlink(s, len(s.users)-1)
	}
}

// unlink unregisters the socket from its i-th user. The caller holds mu.
func (r *registry) unlink(s *Socket, i int) {
	u := s.users[i]
	s.users = slices.Delete(s.users, i, i+1)
	u.remove(s)
	if len(u.sockets) > 0 {
		return
	}
	r.active--
	if !u.sub.exists() { // nothing to unsubscribe
		delete(r.users, u.subject)
	}
	r.note(u)
}

// find returns the user of a subject, or nil if the user has neither sockets nor a subscription.
func (r *registry) find(subject string) *user {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.users[subject]
}

// sockets returns a copy of the list of a user's sockets.
func (r *registry) sockets(subject string) []*Socket {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if u := r.users[subject]; u != nil {
		return slices.Clone(u.sockets)
	}
	return nil
}

// count returns how many users have sockets.
func (r *registry) count() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.active
}

// takeChanged returns the subscriptions that are no longer wanted, and removes them from the
// registry. It also returns the users that lack a subscription. For each of these the caller then
// calls [registry.subscribed] or [registry.notSubscribed].
func (r *registry) takeChanged() (unwanted []subscription, wanted []*user) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.changed) == 0 {
		return nil, nil
	}
	for u := range r.changed {
		if len(u.sockets) > 0 {
			wanted = append(wanted, u)
			continue
		}
		unwanted = append(unwanted, u.sub)
		u.sub = subscription{}
		delete(r.users, u.subject)
	}
	r.changed = make(map[*user]struct{}) // a map never gets smaller
	return unwanted, wanted
}

// subscribed sets the subscription of a user that takeChanged has returned. It returns false if the
// user has lost its last socket since.
func (r *registry) subscribed(u *user, sub subscription) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.users[u.subject] != u {
		return false
	}
	u.sub = sub
	return true
}

// notSubscribed makes the next takeChanged return the user again, if it still has sockets. It does
// not raise wake: the next registration causes the retry.
func (r *registry) notSubscribed(u *user) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.users[u.subject] == u {
		r.changed[u] = struct{}{}
	}
}

// confirm marks sockets as confirmed: NATS has the subscriptions of their users. losses is how
// often the connection was lost before that. A confirmed socket is told of later losses.
func (r *registry) confirm(sockets []*Socket, losses uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range sockets {
		if !s.confirmed {
			s.confirmed, s.losses = true, losses
		}
	}
}

// close unregisters all sockets from all users and refuses further registrations. It returns false
// if the registry was closed before.
func (r *registry) close() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.closed = true
	for _, u := range r.users {
		for len(u.sockets) > 0 {
			s := u.sockets[0]
			r.unlink(s, slices.Index(s.users, u))
		}
	}
	return true
}

// send queues a burst at the next sockets of a user, as many as out has capacity for. It reports
// whether there are more. The first call for a burst, with first set, fixes the sockets that get
// it: those that the user has then. The caller has the user's turn.
func (r *registry) send(u *user, burst *emit, first bool, out []delivery) (_ []delivery, more bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if first {
		u.done, u.due = 0, len(u.sockets)
	}
	for u.done < u.due && len(out) < cap(out) {
		d := delivery{socket: u.sockets[u.done]}
		u.done++
		bit := uint64(1)
		for e := burst; e != nil; e = e.next {
			if (e.except == "" || d.socket.conn.ID() != e.except) && d.socket.conn.Send(e.message) {
				d.took |= bit
			}
			bit <<= 1
		}
		out = append(out, d)
	}
	return out, u.done < u.due
}

// sendEach queues a message at each recipient that is still registered as some user. It skips those
// for which message returns nil. message is called with the read lock held.
func (r *registry) sendEach(to []recipient, message func(recipient) *Message, out []delivery) []delivery {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, c := range to {
		if len(c.socket.users) == 0 {
			continue
		}
		if m := message(c); m != nil {
			d := delivery{socket: c.socket}
			if c.socket.conn.Send(m) {
				d.took = 1
			}
			out = append(out, d)
		}
	}
	return out
}

// recipients returns the sockets of the users for which pick returns true. A socket of several of
// these users is returned several times. pick is called with the read lock held.
func (r *registry) recipients(pick func(*user) bool) []recipient {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var to []recipient
	for _, u := range r.users {
		if pick(u) {
			to = u.recipients(to)
		}
	}
	return to
}
