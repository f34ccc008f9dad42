package hub

import (
	"context"
	"errors"
	"slices"
	"time"
)

// connection returns a number of the current connection to NATS. It is another one after each
// reconnect, and 0 while NATS is not connected.
func (s *subscriptions) connection() uint64 {
	if !s.nc.IsConnected() {
		return 0
	}
	return s.nc.Stats().Reconnects + 1
}

// answerSettled answers the registrations whose users' subscriptions NATS and its cluster had before,
// on the connection that there is now. Such a registration needs no round trip: it is for users that
// have other sockets, or whose subscriptions have lingered.
func (s *subscriptions) answerSettled() {
	if len(s.unconfirmed) == 0 {
		return
	}
	losses := s.losses.soFar() // before the connection, so that a loss after it concerns the sockets, too
	if connection := s.connection(); connection == 0 || connection != s.settled.connection {
		return
	}
	var settled []registration
	s.unconfirmed = slices.DeleteFunc(s.unconfirmed, func(r registration) bool {
		is := len(r.subjects) > 0 && s.registry.newestRound(r.subjects) <= s.settled.round
		if is {
			settled = append(settled, r)
		}
		return is
	})
	s.confirmSockets(settled, losses)
	answer(settled, nil)
}

// confirm makes a round trip to NATS if registrations or drains wait for one. It returns false if
// NATS does not answer; the caller must then call it again. Without a cluster it answers the
// confirmed registrations, with one it adds them to propagating.
//
// A registration for a user that is already subscribed may wait for a round trip, too: that
// subscription may be unconfirmed itself, or new on the server that the connection has just moved
// to.
func (s *subscriptions) confirm() bool {
	drains := s.drains.list()
	confirmed, postponed := s.applied()
	if len(drains) == 0 && len(confirmed) == 0 {
		return true
	}
	asked, losses, connection := time.Now(), s.losses.soFar(), s.connection()
	if !s.ask() {
		return false
	}
	s.losses.noteAnswer(asked)
	if s.drains.anyBefore(drains, s.nc.Stats().Reconnects) {
		_ = s.nc.ForceReconnect() // the connection was lost and is back, but disconnected was not called yet
	}
	s.drains.end(drains)
	s.unconfirmed = postponed
	if len(confirmed) == 0 {
		return true
	}
	s.confirmSockets(confirmed, losses)
	has := propagated{s.round, connection}
	if s.nc.ConnectedClusterName() == "" {
		s.settled = has
		answer(confirmed, nil)
		return true
	}
	s.propagating = append(s.propagating, propagation{has, time.Now().Add(s.settle), confirmed})
	return true
}

// applied returns the unconfirmed registrations without those that apply has postponed, because a user
// of theirs is quiet.
func (s *subscriptions) applied() (applied, postponed []registration) {
	quiet := s.registry.quiet()
	if len(quiet) == 0 {
		return s.unconfirmed, nil
	}
	for _, r := range s.unconfirmed {
		if slices.ContainsFunc(r.subjects, func(subject string) bool { return quiet[subject] }) {
			postponed = append(postponed, r)
		} else {
			applied = append(applied, r)
		}
	}
	return applied, postponed
}

// confirmSockets marks the sockets of the registrations as confirmed; see [registry.confirm].
func (s *subscriptions) confirmSockets(confirmed []registration, losses uint64) {
	sockets := make([]*Socket, 0, len(confirmed))
	for _, r := range confirmed {
		if r.socket != nil {
			sockets = append(sockets, r.socket)
		}
	}
	s.registry.confirm(sockets, losses)
}

// ask makes a round trip and reports whether NATS has answered. Without a connection it returns
// false at once, because a Flush would block all changes until nats.go is connected again.
//
// nats.go answers the n-th Flush by the n-th PONG. An attempt to reconnect that fails in its last
// step discards the PINGs of waiting Flushes, but not the Flushes. From then on each Flush waits for
// the PONGs of later ones, until the connection is lost. So if NATS does not answer after such an
// attempt, ask makes another connection.
func (s *subscriptions) ask() bool {
	if !s.nc.IsConnected() {
		return false
	}
	// nats.go counts each attempt that a server accepts.
	failures := int64(s.nc.Stats().Reconnects) - int64(s.losses.soFar())
	ctx, cancel := context.WithTimeout(s.closing, roundTrip)
	defer cancel()
	err := s.nc.FlushWithContext(ctx)
	if errors.Is(err, context.DeadlineExceeded) && failures > s.failures {
		s.failures = failures // once for each of them, for it may also be that NATS is slow
		_ = s.nc.ForceReconnect()
	}
	if err != nil {
		return false
	}
	s.failures = failures
	return true
}

// answerPropagated answers the registrations that have waited for --settle.
func (s *subscriptions) answerPropagated() {
	now := time.Now()
	for len(s.propagating) > 0 && !now.Before(s.propagating[0].until) {
		s.settled = s.propagating[0].propagated
		answer(s.propagating[0].registrations, nil)
		s.propagating = slices.Delete(s.propagating, 0, 1)
	}
}
