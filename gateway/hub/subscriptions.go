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
	// roundTrip bounds one attempt to get an answer of NATS; retry is the pause after a failed one.
	roundTrip = 5 * time.Second
	retry     = 50 * time.Millisecond
	// lastRoundTrip bounds the wait, at the end, for NATS to confirm what was given up.
	lastRoundTrip = time.Second
)

// subscriptions makes NATS follow the registry: after any changes there, each
// user with sockets has one subscription, and there is no other. One goroutine
// does that, in this order, again and again:
//
//	apply             gives up what is no longer wanted, subscribes what is missing
//	confirm           one round trip: NATS has everything that was applied before it
//	answerPropagated  in a cluster, --settle later the other nodes have it, too
//
// Nothing else waits for NATS to have a subscription, and no lock is held
// meanwhile. What changes in the registry while it waits is applied together
// afterwards, and a user who has gone and come back by then keeps the subscription.
//
// Letting a subscription linger before it is given up belongs in apply.
type subscriptions struct {
	nc       *nats.Conn
	registry *registry
	losses   *losses
	channel  func(subject string) chan *nats.Msg // the worker's
	settle   time.Duration
	dropped  prometheus.Counter
	log      *slog.Logger
	wake     signal
	closing  context.Context
	ended    chan struct{} // closed when run returns
	drains   *drains

	mu      sync.Mutex
	waiting []registration // guarded by mu: those that apply has yet to take
	closed  bool           // guarded by mu

	// Owned by run.

	unconfirmed []registration
	propagating []propagation // in the order of their ends
	failures    int64         // attempts to reconnect that failed after a server had accepted them, up to the last answer
}

// A registration waits until NATS has the subscriptions of its subjects.
type registration struct {
	socket   *Socket // nil if it only waits
	subjects []string
	added    []string // those that the socket did not hold before
	done     func(error)
}

// A propagation is of registrations that one round trip has confirmed.
type propagation struct {
	until         time.Time
	registrations []registration
}

// push adds a registration. It does not wait.
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

// wait returns once NATS, and its cluster, has what the registry wants at
// this moment. While NATS is away it waits. It returns ErrGone when the hub closes.
func (s *subscriptions) wait() error {
	done := make(chan error, 1)
	s.push(registration{done: func(err error) { done <- err }})
	return <-done
}

// run works until the hub closes.
func (s *subscriptions) run() {
	defer close(s.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.wake:
		case <-timer.C:
		case <-s.closing.Done():
			s.apply() // the registry is empty, so all is given up
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

// apply gives up what the registry no longer wants and subscribes what it wants.
func (s *subscriptions) apply() {
	// The registrations first: the changes of each that is taken are taken, too, now or before.
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

// refuse answers the registrations of which NATS has refused a subject, and
// takes from their sockets what they have added.
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

// giveUp gives up a user's subscription.
//
// By Unsubscribe nats.go would forget the subscription before the server has:
// a message on its way would vanish and its emit get no answer. Drain keeps it
// until the server has confirmed, so that the worker answers with a zero. But
// a Drain that meets a lost connection is subscribed again on the next one, and
// then forgotten without a word to the server. So it is used only while there
// is a connection, and disconnected ends it with the connection; if that comes
// too late, another connection puts it right.
//
// Other servers of a cluster forget the subscription later still. Until then
// they pass on messages to this server, which has no subscriber for them. So
// the ingests are told.
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

// disconnected is called by nats.go when the connection is lost. It ends the
// drains: the server has forgotten their subscriptions, and nats.go must before
// it is connected again.
func (s *subscriptions) disconnected() {
	if !s.drains.end(s.drains.list()) && s.nc.IsConnected() {
		_ = s.nc.ForceReconnect()
	}
}

// confirm confirms, by a round trip, what was applied, and answers the
// registrations that wait for nothing else. It returns false if NATS did not
// answer, so that it must be called again. Every registration waits for a round
// trip, also one for a user that is subscribed already: that subscription may
// be as young, or young on the node to which the connection has just moved.
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
		_ = s.nc.ForceReconnect() // nats.go has yet to call disconnected
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

// ask returns true if NATS answers. While the connection is away it returns at
// once: a Flush would keep all changes waiting until the connection is back.
//
// nats.go answers the n-th Flush by the n-th PONG. An attempt to reconnect that
// fails in its last step discards the PINGs of Flushes that wait, but not the
// Flushes. From then on each Flush waits for the PONGs of later ones, for as
// long as the connection lives. So another connection is made where NATS does
// not answer after such an attempt.
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

// answerPropagated answers the registrations that the other nodes of the cluster know by now.
func (s *subscriptions) answerPropagated() {
	now := time.Now()
	for len(s.propagating) > 0 && !now.Before(s.propagating[0].until) {
		answer(s.propagating[0].registrations, nil)
		s.propagating = slices.Delete(s.propagating, 0, 1)
	}
}

// refuseAll answers all registrations, those that still come included, with ErrGone.
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

func answer(registrations []registration, err error) {
	for _, r := range registrations {
		r.done(err)
	}
}
