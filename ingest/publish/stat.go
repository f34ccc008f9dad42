package publish

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ramainen/doit-socket/internal/wire"
)

const (
	// statGap is how long a question waits for another gateway's answer after the last one. A slower gateway is not
	// counted.
	statGap = 100 * time.Millisecond
	// statAge is how old the sums can be that a caller gets, counted from the question for them.
	statAge = time.Second
	// statRetry is how long an error is given to further callers, counted from its occurrence.
	statRetry = 100 * time.Millisecond
)

// Stat returns the sums of all gateways' numbers: connected sockets and registered user ids. An id that is registered on
// two gateways counts twice. Without gateways the sums are zero. The sums are at most a second old: the gateways are
// asked for all callers together, one question at a time ([stats]).
//
// Stat returns an error if an answer is malformed, if gateways exist but none answers within [Publisher.Bound], or if
// ctx ends. It returns [ErrUnstable] if gateways may be missing from the sums.
func (p *Publisher) Stat(ctx context.Context) (sockets, users int, err error) {
	sum, err := p.bus.stats.get(ctx, p.Bound)
	return sum.Sockets, sum.Users, err
}

// stats asks the gateways for their numbers. At most one question is on the bus. All callers that come before its answer
// share it, and so do those that come within statAge of the question. So a caller costs nothing but its wait, whatever
// the number of callers.
//
// Each question has a reply subject of its own, so an answer that comes late is not added to the next question. One
// subscription receives the answers to all of them; onAnswer runs in its goroutine, which is one of nats.go.
type stats struct {
	inbox   string // the prefix of the reply subjects; the number of the question follows
	queue   chan<- publication
	stable  func() bool    // [stability.stable]; called by run only, without holding a lock
	pending chan *question // to run; capacity 1, and at most one question is open

	subscription atomic.Pointer[nats.Subscription] // on the inbox; nil before start

	mu sync.Mutex
	// Guarded by mu.
	number uint64
	newest *question // nil before the first
}

// A question is one message to all gateways, with the sums of their answers.
type question struct {
	reply string // the reply subject
	asked time.Time
	bound time.Duration // how long it waits for answers

	heard    chan struct{} // capacity 1: gets a token when an answer was added
	last     chan error    // capacity 1: nil if NATS has no responders, or an error that makes the sums unknown
	answered chan struct{} // closed when sum and err are final

	// Guarded by stats.mu until answered is closed. They do not change afterwards.
	sum   wire.Stat
	err   error
	open  bool      // answered is not closed
	until time.Time // when it is too old for further callers; only if not open
}

func newStats(inbox string, queue chan<- publication, stable func() bool) *stats {
	return &stats{inbox: inbox, queue: queue, stable: stable, pending: make(chan *question, 1)}
}

func (s *stats) start(nc *nats.Conn) error {
	subscription, err := nc.Subscribe(s.inbox+">", s.onAnswer)
	if err != nil {
		return fmt.Errorf("subscribe to the numbers of the gateways: %w", err)
	}
	s.subscription.Store(subscription)
	return nil
}

func (s *stats) close() {
	_ = s.subscription.Load().Unsubscribe() // an error means that there is nothing to unsubscribe
}

// get waits for the answer to a question that was asked less than statAge ago, or asks one. bound is how long the
// question waits. Without run, or if nats.go connects meanwhile, get returns an error a moment later than that.
func (s *stats) get(ctx context.Context, bound time.Duration) (wire.Stat, error) {
	q := s.question(bound)
	select {
	case <-q.answered:
		return q.sum, q.err
	default:
	}
	late := time.NewTimer(bound + statGap)
	defer late.Stop()
	var err error
	select {
	case <-q.answered:
		return q.sum, q.err
	case <-late.C:
		err = nats.ErrTimeout
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	return wire.Stat{}, fmt.Errorf("wait for the numbers of the gateways: %w", err)
}

// question returns the newest question if that is still of use, else a new one, which run asks.
func (s *stats) question(bound time.Duration) *question {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if q := s.newest; q != nil && (q.open || now.Before(q.until)) {
		return q
	}
	s.number++
	s.newest = &question{
		reply: s.inbox + strconv.FormatUint(s.number, 36), asked: now, bound: bound, open: true,
		heard: make(chan struct{}, 1), last: make(chan error, 1), answered: make(chan struct{}),
	}
	s.pending <- s.newest // does not block: run has taken the one before, which is not open
	return s.newest
}

// run asks the questions until end is closed.
func (s *stats) run(end <-chan struct{}) {
	for {
		select {
		case q := <-s.pending:
			err := s.ask(q, end)
			if err == nil && !s.stable() {
				err = ErrUnstable
			}
			s.conclude(q, err)
		case <-end:
			return
		}
	}
}

// ask sends a question and waits for its answers: until NATS says that nobody is there, no further answer comes within
// statGap, or its bound has passed.
func (s *stats) ask(q *question, end <-chan struct{}) error {
	bound := time.NewTimer(q.bound)
	defer bound.Stop()
	queue, failed := s.queue, make(chan error, 1)
	var silence <-chan time.Time // nil before the first answer
	for {
		select {
		case queue <- publication{&nats.Msg{Subject: wire.SubjectStat, Reply: q.reply}, failed}:
			queue = nil
		case err := <-failed:
			return notSent(err)
		case <-q.heard:
			silence = time.After(statGap)
		case err := <-q.last:
			return err
		case <-silence:
			return nil
		case <-bound.C:
			if silence != nil {
				return nil
			}
			return fmt.Errorf("wait for the numbers of the gateways: %w", nats.ErrTimeout)
		case <-end:
			return nats.ErrConnectionClosed
		}
	}
}

// conclude makes the sums final, or the error.
func (s *stats) conclude(q *question, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q.open, q.err, q.until = false, err, q.asked.Add(statAge)
	if err != nil {
		q.sum, q.until = wire.Stat{}, time.Now().Add(statRetry)
	}
	close(q.answered)
}

// onAnswer handles one message on the inbox. Anything but an answer to the open question is dropped: it comes late, or
// from a program that is no gateway.
func (s *stats) onAnswer(m *nats.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.newest
	if q == nil || !q.open || q.reply != m.Subject {
		return
	}
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		q.conclusive(nil)
		return
	}
	stat, err := wire.ParseStat(m.Data)
	if err != nil {
		q.conclusive(fmt.Errorf("parse the numbers of a gateway: %w", err))
		return
	}
	q.sum.Sockets, q.sum.Users = q.sum.Sockets+stat.Sockets, q.sum.Users+stat.Users
	select {
	case q.heard <- struct{}{}:
	default:
	}
}

// conclusive passes the first reason why no further answer is waited for to ask.
func (q *question) conclusive(err error) {
	select {
	case q.last <- err:
	default:
	}
}
