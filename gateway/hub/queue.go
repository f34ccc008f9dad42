package hub

import (
	"context"
	"sync"
)

const (
	// burstEvents and burstBytes bound a burst: the events that go to a socket in one write. An event
	// of more bytes is a burst by itself.
	burstEvents = 16
	burstBytes  = 16 << 10

	// queueBytes bounds the events that wait for one user, each with its overhead. Further ones are
	// refused. An event that finds nothing waiting is never refused.
	queueBytes = 32 << 20
	// overhead is about what an event takes in memory besides its payload, in bytes.
	overhead = 200
)

// An emit is an event on its way to the sockets of one user, or an operation on them.
type emit struct {
	message *Message
	except  string // the id of a socket that does not get it
	op      string // [wire.OpDisconnect], or "" for an event
	reply   string // where NATS takes the receipt; "" for none
	counted bool   // by line.admit
	next    *emit  // the next one of the queue, or of the burst

	// Guarded by the user's turn, until finished.
	sockets int // how many sockets took it and were open after the write

	// Guarded by queue.mu.
	abandoned bool          // it is not sent if it still waits
	finished  bool          // it was sent, or dropped after abandon
	done      chan struct{} // closed once finished; nil if nobody waits
}

// cost is what an event counts for in the bounds of what waits, in bytes.
func (e *emit) cost() int { return len(e.message.Payload) + overhead }

// A queue holds the events of one user that wait, and the user's turn. The goroutine that has the turn sends the
// events to the user's sockets; there is one at a time. The turn is taken by add, and given back by
// takeBurst when nothing waits any more. So as long as events wait somebody has the turn: a
// goroutine in [fanout.serve], or the line in which the user stands.
type queue struct {
	mu sync.Mutex
	// Guarded by mu.
	first, last *emit
	bytes       int  // the cost of what waits
	turn        bool // somebody has the turn
	missed      bool // an event was dropped since the last takeMissed
}

// An entry is the result of [queue.add].
type entry uint8

const (
	refused entry = iota // too much waits for this user
	waits                // who has the turn will send it
	turn                 // the caller has got the turn and must call [fanout.serve]
)

// add appends an event.
func (q *queue) add(e *emit) entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.first != nil && q.bytes+e.cost() > queueBytes {
		return refused
	}
	if q.first == nil {
		q.first = e
	} else {
		q.last.next = e
	}
	q.last = e
	q.bytes += e.cost()
	if q.turn {
		return waits
	}
	q.turn = true
	return turn
}

// takeBurst removes a burst from the queue and returns it as a chain. If nothing waits it returns
// nil, and the caller no longer has the turn.
func (q *queue) takeBurst() (burst *emit) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var last *emit
	events, bytes := 0, 0
	for q.first != nil {
		e := q.first
		if alone := e.op != "" || last != nil && last.op != ""; last != nil && !e.abandoned &&
			(alone || events == burstEvents || bytes+len(e.message.Payload) > burstBytes) {
			break
		}
		q.first, e.next = e.next, nil
		q.bytes -= e.cost()
		if e.abandoned {
			e.finish()
			continue
		}
		if last == nil {
			burst = e
		} else {
			last.next = e
		}
		last = e
		events++
		bytes += len(e.message.Payload)
	}
	if q.first == nil {
		q.last = nil // so that an empty queue keeps no event in memory
	}
	if burst == nil {
		q.turn = false
	}
	return burst
}

// finish marks the events of a burst as finished.
func (q *queue) finish(burst *emit) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for e := burst; e != nil; e = e.next {
		e.finish()
	}
}

// finish is queue.finish of one event. The caller holds queue.mu.
func (e *emit) finish() {
	e.finished = true
	if e.done != nil {
		close(e.done)
	}
}

// isFinished reports whether an event is finished: it was sent, or dropped after abandon.
func (q *queue) isFinished(e *emit) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return e.finished
}

// await waits until an event is finished, or ctx ends.
func (q *queue) await(ctx context.Context, e *emit) {
	q.mu.Lock()
	if e.finished {
		q.mu.Unlock()
		return
	}
	if e.done == nil {
		e.done = make(chan struct{})
	}
	done := e.done
	q.mu.Unlock()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// abandon makes an event be dropped if it still waits. If it is being sent it goes on.
func (q *queue) abandon(e *emit) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e.abandoned = true
}

// miss records that an event was dropped.
func (q *queue) miss() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.missed = true
}

// takeMissed reports whether an event was dropped since the last call.
func (q *queue) takeMissed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	missed := q.missed
	q.missed = false
	return missed
}
