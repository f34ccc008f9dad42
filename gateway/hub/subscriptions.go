package hub

import (
	"context"
	"errors"
	"log/slog"
	"math"
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
// exactly one, and there are no others, but for those that linger. The goroutine of run repeats these
// steps:
//
//	apply             unsubscribes users without sockets, subscribes users with sockets
//	answerSettled     answers registrations of users that NATS and its cluster had before
//	confirm           makes a round trip: then NATS has everything that was applied before it
//	answerPropagated  in a cluster, answers registrations --settle later, when the other servers have it, too
//
// Only this goroutine waits for NATS, and it holds no lock while it waits. The next apply applies
// all changes that were made to the registry during the wait, and one round trip confirms all of
// them. A user that left and came back during it keeps the subscription.
type subscriptions struct {
	nc       *nats.Conn
	registry *registry
	losses   *losses
	channel  func(subject string) chan *nats.Msg // [workers.channel]
	settle   time.Duration
	linger   time.Duration // see leaving
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
	round       uint64         // how often apply was called
	settled     propagated     // what NATS and its cluster have
	next        time.Time      // when registry.takeChanged has to be called again; zero if only after wake
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
	propagated
	until         time.Time
	registrations []registration
}

// A propagated says that the subscriptions that were made up to a round are known to the server of a
// connection and, once they have settled, to its cluster.
type propagated struct {
	round      uint64
	connection uint64 // from [subscriptions.connection]
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
			s.removeAll()
			s.refuseAll()
			return
		}
		s.apply()
		s.answerSettled()
		confirmed := s.confirm()
		s.answerPropagated()
		s.setTimer(timer, confirmed)
	}
}

// removeAll removes all subscriptions. The registry is empty and closed. It waits for NATS for
// lastRoundTrip at most. Subscriptions that cannot be drained in this time are unsubscribed at once.
func (s *subscriptions) removeAll() {
	for end := time.Now().Add(lastRoundTrip); ; {
		s.apply()
		left := time.Until(end)
		confirmed := left > 0 && s.nc.IsConnected() && s.nc.FlushTimeout(left) == nil
		if !confirmed {
			unwanted, _, _ := s.registry.takeChanged(time.Now(), 0, math.MaxInt)
			for _, sub := range unwanted {
				s.giveUp(sub)
			}
		}
		s.drains.end(s.drains.list())
		if !confirmed || s.next.IsZero() {
			return
		}
	}
}

// setTimer sets the timer to the time at which the steps are due again.
func (s *subscriptions) setTimer(timer *time.Timer, confirmed bool) {
	var next time.Time
	earlier := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	if confirmed {
		earlier(s.next)
	} else {
		earlier(time.Now().Add(retry))
	}
	if len(s.propagating) > 0 {
		earlier(s.propagating[0].until)
	}
	if next.IsZero() {
		timer.Stop()
		return
	}
	timer.Reset(time.Until(next))
}

// apply unsubscribes users without sockets and subscribes users that lack a subscription.
func (s *subscriptions) apply() {
	// Take the registrations before the changes. A registration's changes are in
	// the registry before it is pushed, so they are applied now or were before.
	s.mu.Lock()
	s.unconfirmed = append(s.unconfirmed, s.waiting...)
	s.waiting = nil
	s.mu.Unlock()
	limit := math.MaxInt // without a connection nothing is drained
	if s.nc.IsConnected() {
		limit = s.drains.room()
	}
	unwanted, wanted, next := s.registry.takeChanged(time.Now(), s.lingers(), limit)
	s.next = next
	s.round++
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
		made := subscription{nats: sub, round: s.round}
		if !s.registry.subscribed(u, made) {
			s.giveUp(made)
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

// lingers returns how long a subscription stays after its user's last socket has left: not at all
// outside of a cluster, where a new one takes a round trip only, and while NATS is not connected.
func (s *subscriptions) lingers() time.Duration {
	if s.linger == 0 || s.nc.ConnectedClusterName() == "" {
		return 0
	}
	return s.linger
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
	s.wake.raise() // so that nothing lingers
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
