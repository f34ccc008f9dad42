package hub

import (
	"context"
	"time"

	"github.com/ramainen/doit-socket/internal/clock"
	"github.com/ramainen/doit-socket/internal/wire"
)

// NotKnown is the number of sockets of a user to whom [Hub.Emit] could not send an event in time.
const NotKnown = -1

// A target is one receiver of an emit of this process.
type target struct {
	emit emit
	user *user // nil if there is nothing to wait for
}

// Emit sends an event to the sockets of users on this node only. It returns for each subject how
// many sockets took it, as the receipt of this node on NATS would say, or [NotKnown]; for an empty
// subject zero. The payload of m must pass [wire.Check]. m.Subject and m.Op are ignored: operations
// are only supported on NATS.
//
// The caller's goroutine sends the event to a user whose turn is free, for the time of one turn.
// Else Emit waits: until bound has passed or ctx ends, or, if first is set, only until a socket of any
// user took the event. An event that still waits then is not sent. An event for a user for whom too
// much waits already is not sent either.
func (h *Hub) Emit(ctx context.Context, bound time.Duration, m wire.Message, subjects []string, first bool) (sockets []int) {
	end := clock.Now() + int64(bound)
	message := &Message{Payload: m.Payload}
	sockets, targets := make([]int, len(subjects)), make([]target, len(subjects))
	reached, waiting := false, 0
	for i, subject := range subjects {
		t := &targets[i]
		t.emit = emit{message: message, except: m.Except}
		u := h.registry.find(subject)
		if u == nil {
			continue
		}
		sockets[i] = NotKnown
		if ctx.Err() != nil || clock.Now() >= end {
			continue
		}
		entry := u.queue.add(&t.emit)
		if entry == turn {
			h.fanout.serve(u)
		}
		switch {
		case entry == refused:
		case u.queue.isFinished(&t.emit):
			sockets[i] = t.emit.sockets
			reached = reached || sockets[i] > 0
		default:
			t.user = u
			waiting++
		}
	}
	if waiting == 0 || first && reached {
		return sockets
	}
	// Few emits wait, so only these pay for a timer.
	ctx, cancel := context.WithTimeout(ctx, time.Duration(end-clock.Now()))
	defer cancel()
	for i := range targets {
		t := &targets[i]
		if t.user == nil {
			continue
		}
		if !first || !reached {
			t.user.queue.await(ctx, &t.emit)
		}
		if t.user.queue.isFinished(&t.emit) {
			sockets[i] = t.emit.sockets
			reached = reached || sockets[i] > 0
		}
	}
	if ctx.Err() != nil {
		for i := range targets {
			if t := &targets[i]; sockets[i] == NotKnown && t.user != nil {
				t.user.queue.abandon(&t.emit)
			}
		}
	}
	return sockets
}
