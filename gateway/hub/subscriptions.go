package hub

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/internal/wire"
)

const (
	// roundTrip bounds one round trip to NATS; retry is the pause after a failed one.
	roundTrip = 5 * time.Second
	retry     = 50 * time.Millisecond
	// lastRoundTrip bounds the round trip, at the end of run, that confirms the last unsubscribes.
	lastRoundTrip = time.Second
)

// subscriptions keeps the subscriptions at NATS equal to the registry: each user with sockets has
// exactly one, and there are no others. The goroutine of run repeats these steps:
//
//	apply             unsubscribes users without sockets, subscribes users with sockets
//	confirm           makes a round trip: then NATS has everything that was applied before it
//	answerPropagated  in a cluster, answers registrations --settle later, when the other servers have it, too
//
// Only this goroutine waits for NATS, and it holds no lock while it waits. The next apply applies
// all changes that were made to the registry during the wait. A user that left and came back during
// it keeps the subscription.
//
// A delay before unsubscribing would go into apply.
type subscriptions struct {
	nc       *nats.Conn
	registry *registry
	losses   *losses
	channel  func(subject string) chan *nats.Msg // [workers.channel]
	settle   time.Duration
	dropped  prometheus.Counter
	log      *slog.Logger
	wake     signal
	closing  context.Context
	ended    chan struct{} // closed when run returns
	drains   *drains

	mu      sync.Mutex
	waiting []registration // registrations for the next apply; guarded by mu
	closed  bool           // further registrations are refused; guarded by mu

	// Used by the goroutine of run only.

	unconfirmed []registration // applied, and waiting for a round trip
	propagating []propagation  // confirmed, and waiting for --settle; in the order of until
	failures    int64          // attempts to reconnect that failed after a server had accepted them, up to the last answer
}

// A registration waits until NATS has the subscriptions of its subjects.
type registration struct {
	socket   *Socket // nil for a registration of wait, which has no subjects
	subjects []string
	added    []string    // the subjects that the socket was not registered for before
	done     func(error) // called once
}

// A propagation holds registrations that one round trip has confirmed, until the other servers of
// the cluster have their subscriptions, too.
type propagation struct {
	until         time.Time
	registrations []registration
}

// push adds a registration for the next apply. It does not wait.
func (s *subscriptions) push(r registration) {
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.waiting = append(s.waiting, r)
		s.wake.raise()
	}
	s.mu.Unlock()
	if closed {
		r.done(ErrGone)
	}
}

// wait returns when NATS and its cluster have all subscriptions that the registry wants at the time
// of the call. It waits while NATS is not connected. It returns ErrGone when the hub closes.
func (s *subscriptions) wait() error {
	done := make(chan error, 1)
	s.push(registration{done: func(err error) { done <- err }})
	return <-done
}

// run repeats the steps until the hub closes. Then it removes all subscriptions and refuses the
// registrations that wait.
func (s *subscriptions) run() {
	defer close(s.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.wake:
		case <-timer.C:
		case <-s.closing.Done():
			s.apply() // the registry is empty, so this unsubscribes everything
			if s.nc.IsConnected() {
				_ = s.nc.FlushTimeout(lastRoundTrip)
			}
			s.drains.end(s.drains.list())
			s.refuseAll()
			return
		}
		s.apply()
		confirmed := s.confirm()
		s.answerPropagated()
		switch {
		case !confirmed:
			timer.Reset(retry)
		case len(s.propagating) > 0:
			timer.Reset(time.Until(s.propagating[0].until))
		default:
			timer.Stop()
		}
	}
}

// apply unsubscribes users without sockets and subscribes users that lack a subscription.
func (s *subscriptions) apply() {
	// Take the registrations before the changes. A registration's changes are in
	// the registry before it is pushed, so they are applied now or were before.
	s.mu.Lock()
	s.unconfirmed = append(s.unconfirmed, s.waiting...)
	s.waiting = nil
	s.mu.Unlock()
	unwanted, wanted := s.registry.takeChanged()
	for _, sub := range unwanted {
		s.giveUp(sub)
	}
	var failed map[string]error // by subject
	for _, u := range wanted {
		sub, err := s.nc.ChanSubscribe(u.subject, s.channel(u.subject))
		if err != nil {
			s.registry.notSubscribed(u)
			if failed == nil {
				failed = make(map[string]error)
			}
			failed[u.subject] = err
			continue
		}
		if !s.registry.subscribed(u, subscription{nats: sub}) {
			s.giveUp(subscription{nats: sub})
		}
	}
	if failed != nil {
		s.refuse(failed)
	}
}

// refuse answers the registrations with a subject that nats.go has refused, and undoes them in the
// registry.
func (s *subscriptions) refuse(failed map[string]error) {
	s.unconfirmed = slices.DeleteFunc(s.unconfirmed, func(r registration) bool {
		for _, subject := range r.subjects {
			if err := failed[subject]; err != nil {
				s.registry.remove(r.socket, r.added)
				r.done(err)
				return true
			}
		}
		return false
	})
}

// giveUp removes a user's subscription.
//
// It uses Drain if it can. With Unsubscribe, nats.go drops the subscription at once: a message
// under way is lost and its emit gets no receipt. With Drain, nats.go keeps the subscription until
// the server has confirmed, so the worker answers such a message with a receipt of zero sockets.
//
// But a Drain that is in progress when the connection is lost goes wrong: nats.go subscribes again
// on the next connection, then drops the subscription without unsubscribing at the server. So
// giveUp uses Drain only while connected, and disconnected ends all drains when the connection is
// lost. If that is too late, a further reconnect repairs it.
//
// The other servers of a cluster learn of the unsubscribe later. Until then they route messages to
// this server, which has no subscriber for them and sends no answer. So giveUp publishes on
// [wire.SubjectLeft] that the user was given up.
func (s *subscriptions) giveUp(sub subscription) {
	s.dropped.Add(float64(sub.countDropped()))
	reconnects, unsubscribe := s.nc.Stats().Reconnects, sub.nats.Unsubscribe
	if s.nc.IsConnected() && s.drains.add(sub.nats, reconnects) {
		unsubscribe = sub.nats.Drain
	}
	err := unsubscribe()
	if err == nil && s.nc.ConnectedClusterName() != "" {
		err = s.nc.Publish(wire.SubjectLeft, []byte(sub.nats.Subject))
	}
	if err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		s.log.Warn("unsubscribe failed", "error", err)
	}
}

// disconnected is called by nats.go when the connection is lost. It ends all drains before nats.go
// connects again, so that nats.go does not subscribe them again. If it came too late for one, it
// forces a further reconnect.
func (s *subscriptions) disconnected() {
	if !s.drains.end(s.drains.list()) && s.nc.IsConnected() {
		_ = s.nc.ForceReconnect()
	}
}

// confirm makes a round trip to NATS if registrations or drains wait for one. It returns false if
// NATS does not answer; the caller must then call it again. Without a cluster it answers the
// confirmed registrations, with one it adds them to propagating.
//
// A registration for a user that is already subscribed waits for a round trip, too: that
// subscription may be unconfirmed itself, or new on the server that the connection has just moved
// to.
func (s *subscriptions) confirm() bool {
	drains := s.drains.list()
	if len(drains) == 0 && len(s.unconfirmed) == 0 {
		return true
	}
	asked, losses := time.Now(), s.losses.soFar()
	if !s.ask() {
		return false
	}
	s.losses.noteAnswer(asked)
	if s.drains.anyBefore(drains, s.nc.Stats().Reconnects) {
		_ = s.nc.ForceReconnect() // the connection was lost and is back, but disconnected was not called yet
	}
	s.drains.end(drains)
	confirmed := s.unconfirmed
	s.unconfirmed = nil
	if len(confirmed) == 0 {
		return true
	}
	sockets := make([]*Socket, 0, len(confirmed))
	for _, r := range confirmed {
		if r.socket != nil {
			sockets = append(sockets, r.socket)
		}
	}
	s.registry.confirm(sockets, losses)
	if s.nc.ConnectedClusterName() == "" {
		answer(confirmed, nil)
		return true
	}
	s.propagating = append(s.propagating, propagation{time.Now().Add(s.settle), confirmed})
	return true
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
		answer(s.propagating[0].registrations, nil)
		s.propagating = slices.Delete(s.propagating, 0, 1)
	}
}

// refuseAll answers all registrations with ErrGone, those pushed later, too.
func (s *subscriptions) refuseAll() {
	s.mu.Lock()
	waiting := s.waiting
	s.waiting, s.closed = nil, true
	s.mu.Unlock()
	for _, p := range s.propagating {
		answer(p.registrations, ErrGone)
	}
	answer(s.unconfirmed, ErrGone)
	answer(waiting, ErrGone)
	s.propagating, s.unconfirmed = nil, nil
}

// answer calls done of each registration.
func answer(registrations []registration, err error) {
	for _, r := range registrations {
		r.done(err)
	}
}
