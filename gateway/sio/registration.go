package sio

import (
	"slices"
	"time"

	"github.com/ramainen/doit-socket/gateway/hub"
)

const (
	// maxPending is how many registrations of one connection may be unanswered at the same time.
	maxPending = 64
	// maxPendingBytes bounds the memory of all unanswered registrations of the node: while NATS is away they wait. A
	// registration of one short id counts as about 300 bytes, so 200,000 of these fit.
	maxPendingBytes = 64 << 20
)

// A registration is a register event that has not been answered: it waits for the budget, then for NATS. It keeps
// nothing of the frame that the page has sent: its strings are copies.
type registration struct {
	client   *client
	socket   *socket
	ack      string
	subjects []string    // may get fewer until submit: [client.withdraw]
	bytes    int64       // that it counts as in Server.pending
	timer    *time.Timer // calls submit; nil if the budget did not delay it
}

// begin counts a registration as pending. The error is errPending or errNodePending.
func (c *client) begin(s *socket, ack string, subjects []string) (*registration, error) {
	bytes := int64(256) // this struct, that of the hub, a timer
	for _, subject := range subjects {
		bytes += 48 + int64(len(subject)) // the string is in two lists of the hub, too
	}
	if c.pending.Add(1) > maxPending {
		c.pending.Add(-1)
		return nil, errPending
	}
	if c.server.pending.Add(bytes) > maxPendingBytes || !c.server.Memory.Take(int(bytes)) {
		c.server.pending.Add(-bytes)
		c.pending.Add(-1)
		return nil, errNodePending
	}
	return &registration{client: c, socket: s, ack: ack, subjects: subjects, bytes: bytes}, nil
}

// submit passes the registration to the hub, which answers it.
func (r *registration) submit() {
	r.client.server.hub.Register(&r.socket.member, r.subjects, r.finish)
}

// uncount counts the registration as pending no longer.
func (r *registration) uncount() {
	r.client.pending.Add(-1)
	r.client.server.pending.Add(-r.bytes)
	r.client.server.Memory.Return(int(r.bytes))
}

// finish answers the registration. It is called once, from any goroutine.
func (r *registration) finish(err error) {
	r.uncount()
	if err == nil {
		r.socket.markRegistered()
	}
	r.client.answer(r.socket, "register", r.ack, err)
}

// delay submits the registration later, in a turn of the session.
func (c *client) delay(r *registration, wait time.Duration) {
	c.delayed = append(c.delayed, r)
	r.timer = time.AfterFunc(wait, func() {
		c.session.Do(func() {
			c.delayed = slices.DeleteFunc(c.delayed, func(other *registration) bool { return other == r })
			r.submit()
		})
	})
}

// withdraw removes the subjects from the delayed registrations of a socket, which has unregistered them.
func (c *client) withdraw(s *socket, subjects []string) {
	for _, r := range c.delayed {
		if r.socket == s {
			r.subjects = slices.DeleteFunc(r.subjects, func(subject string) bool { return slices.Contains(subjects, subject) })
		}
	}
}

// refuseDelayed ends the delayed registrations. It is called when the session has closed.
func (c *client) refuseDelayed() {
	for _, r := range c.delayed {
		r.timer.Stop()
		r.finish(hub.ErrGone)
	}
	c.delayed = nil
}
