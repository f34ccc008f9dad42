package listen

import (
	"container/list"
	"time"
)

// waiters are connections on which no request is being handled, in the order in
// which they began to wait. The lock of [connections] guards them.
type waiters struct {
	fresh list.List // new ones that have sent no complete head
	idle  list.List // kept-alive ones between two requests
}

func (w *waiters) length() int { return w.fresh.Len() + w.idle.Len() }

// list returns the list for a connection.
func (w *waiters) list(idle bool) *list.List {
	if idle {
		return &w.idle
	}
	return &w.fresh
}

// longest returns the connection to close first, in the order that the comment
// of [connections] states, or nil if none waits.
func (w *waiters) longest(now time.Time) *connection {
	fresh, idle := front(&w.fresh), front(&w.idle)
	switch {
	case fresh == nil:
		return idle
	case idle == nil, now.Sub(fresh.since) > headPatience, fresh.since.Before(idle.since):
		return fresh
	}
	return idle
}

// front returns the connection that has waited longest of a list, or nil.
func front(l *list.List) *connection {
	if e := l.Front(); e != nil {
		return e.Value.(*connection)
	}
	return nil
}

// wait adds the connection, which is in no list, to those of all connections and
// to those of its address.
func (c *connection) wait(all *waiters, idle bool, now time.Time) {
	c.idle, c.since = idle, now
	c.inAll = all.list(idle).PushBack(c)
	if c.address != nil {
		c.inAddress = c.address.waiting.list(idle).PushBack(c)
	}
}

// work removes the connection from the lists that it is in.
func (c *connection) work(all *waiters) {
	if c.inAll == nil {
		return
	}
	all.list(c.idle).Remove(c.inAll)
	if c.address != nil {
		c.address.waiting.list(c.idle).Remove(c.inAddress)
	}
	c.inAll, c.inAddress = nil, nil
}
