package hub

import (
	"sync"

	"github.com/ramainen/doit-socket/internal/wire"
)

const (
	// few is how many sockets are served at a time: what was read of them to
	// queue the events is still in the processor's cache when they are written.
	few = 32

	// A burst is what goes to a socket in one write, where events for one user
	// come faster than they are written: this many, of so many bytes together,
	// or one that is larger.
	burstEvents = 16
	burstBytes  = 16 << 10
)

// An emit is an event on its way to the sockets of one user.
type emit struct {
	Message
	except  string // the id of a socket that does not get it
	next    *emit
	served  bool // guarded by user.turn
	sockets int  // how many took it and were open after the write
}

// A line is a list of events in their order.
type line struct {
	mu          sync.Mutex
	first, last *emit
}

// add puts a chain of events into the line, and returns the last of them.
func (l *line) add(chain *emit) (last *emit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == nil {
		l.first = chain
	} else {
		l.last.next = chain
	}
	for last = chain; last.next != nil; last = last.next {
	}
	l.last = last
	return last
}

// burst takes a burst of events, as a chain, from the line.
func (l *line) burst() (chain *emit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	chain = l.first
	bytes := 0
	for n := 1; l.first != nil; n++ {
		e := l.first
		l.first = e.next
		e.served = true
		if e.next == nil {
			l.last = nil // holds nothing while nobody emits
			break
		}
		if bytes += len(e.Payload); n == burstEvents || bytes+len(e.next.Payload) > burstBytes {
			e.next = nil
			break
		}
	}
	return chain
}

// Emit serves the sockets that a user has on this node, in the caller's
// goroutine, and returns the receipt that this node would give on the bus.
// Other nodes hear nothing of it. The message is an event whose payload passes
// [wire.Check]; operations are for the bus.
func (h *Hub) Emit(m wire.Message) wire.Receipt {
	e := &emit{Message: Message{Payload: m.Payload}, except: m.Except}
	h.serve(m.Subject, e)
	return wire.Receipt{Sockets: e.sockets, Node: h.Node}
}

// serve gives a chain of events to the sockets of their user, and notes for
// each how many took it and are still open. All of the user's sockets get his
// events in one order, also if several goroutines have some for him: they take
// turns, and whoever has one serves what waits, his own or another's.
func (h *Hub) serve(subject string, chain *emit) {
	h.mu.RLock()
	u := h.users[subject]
	h.mu.RUnlock()
	if u == nil {
		return
	}
	last := u.line.add(chain)
	u.turn.Lock()
	defer u.turn.Unlock()
	for !last.served {
		h.give(u, u.line.burst())
	}
}

// give gives a burst to all sockets of a user, a few at a time. The caller has the turn.
func (h *Hub) give(u *user, burst *emit) {
	var room [few]offer
	taken := 0
	for first, rest := true, true; rest; first = false {
		var offers []offer
		offers, rest = h.offer(u, burst, first, room[:0])
		for _, o := range offers {
			took := o.settle()
			for e := burst; e != nil && took != 0; e = e.next {
				e.sockets += int(took & 1)
				taken += int(took & 1)
				took >>= 1
			}
		}
	}
	h.Metrics.delivered.Add(float64(taken))
}

// offer queues a burst for the next few sockets of a user, and reports whether
// there are more. Who has left meanwhile is offered nothing, nor who has come.
func (h *Hub) offer(u *user, burst *emit, first bool, offers []offer) (_ []offer, rest bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if first {
		u.served, u.due = 0, len(u.sockets)
	}
	for u.served < u.due && len(offers) < cap(offers) {
		o := offer{socket: u.sockets[u.served]}
		u.served++
		bit := uint64(1)
		for e := burst; e != nil; e = e.next {
			if (e.except == "" || o.socket.conn.ID() != e.except) && o.socket.conn.Send(&e.Message) {
				o.took |= bit
			}
			bit <<= 1
		}
		offers = append(offers, o)
	}
	return offers, u.served < u.due
}

// An offer is a socket for which events were queued, and which of them it took: a bit for each.
type offer struct {
	socket *Socket
	took   uint64
}

// settle writes to the socket, also if it took nothing, as it may have to
// close, and returns what it took if it is still open.
func (o offer) settle() (took uint64) {
	if !o.socket.conn.Flush() {
		return 0
	}
	return o.took
}
