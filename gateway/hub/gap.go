package hub

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/internal/wire"
)

// Why a socket may have missed events, as the page and the metric have it.
const (
	gapBus     = "bus"     // the connection to NATS was lost
	gapBacklog = "backlog" // messages came faster than they could be delivered
)

const (
	// gapRate is how many sockets a second are told of a gap: their pages will all ask PHP for what they missed.
	gapRate  = 5000
	gapBatch = 50 // sockets told at once
	gapPause = gapBatch * time.Second / gapRate

	// overflowPause is how long to wait before counting what an overflow has
	// cost: messages are dropped in many bursts, and a page should be told of one.
	overflowPause = time.Second

	// maxGapEvent is the length of the longest name of the gap event, in bytes.
	maxGapEvent = 100
)

// ErrGapEvent is returned by [CheckGapEvent].
var ErrGapEvent = fmt.Errorf("it must be at most %d bytes of UTF-8, and no name that Socket.IO reserves", maxGapEvent)

// CheckGapEvent says whether sockets can be told of a gap by an event of this name.
func CheckGapEvent(name string) error {
	if len(name) > maxGapEvent || !utf8.ValidString(name) || wire.Reserved(name) {
		return ErrGapEvent
	}
	return nil
}

// gaps tells sockets, by an event, that they may have missed others.
type gaps struct {
	event    string // its name; empty, no socket is told
	registry *registry
	losses   *losses
	wait     func() error // returns when every subscription is known to NATS, and to its cluster
	told     *prometheus.CounterVec
	dropped  prometheus.Counter
	wake     signal
	closing  context.Context

	mu       sync.Mutex
	overflow time.Time // since when messages may have found no room before a worker, zero if none; guarded by mu
}

// overflowed is called by a worker whose channel was full at some time after since.
func (g *gaps) overflowed(since time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.overflow.IsZero() {
		g.overflow = since.Add(-transit)
	}
	g.wake.raise()
}

// run tells the sockets until the hub closes.
func (g *gaps) run() {
	told := uint64(0) // losses of which every socket was told
	for {
		select {
		case <-g.wake:
		case <-g.closing.Done():
			return
		}
		g.tellOverflow()
		for losses := g.losses.soFar(); told < losses; losses = g.losses.soFar() {
			if g.wait() != nil {
				return
			}
			if losses == g.losses.soFar() && g.tellLoss(losses) {
				told = losses
			}
		}
	}
}

// tellLoss tells every socket that was not told of so many losses. It returns
// false, and lets the rest be told later, if the connection is lost meanwhile.
func (g *gaps) tellLoss(losses uint64) (all bool) {
	to := g.registry.recipients(func(*user) bool { return true })
	g.tell(to, gapBus, g.losses.firstUntold(), func(s *Socket) bool {
		if !s.confirmed || s.losses >= losses {
			return false // it was promised nothing at the time, or was told as the socket of another user
		}
		s.losses = losses
		return true
	}, func() bool { return losses == g.losses.soFar() })
	return g.losses.noteTold(losses)
}

// tellOverflow counts what nats.go has dropped since the last time, and tells
// the sockets of the users that it was for.
func (g *gaps) tellOverflow() {
	g.mu.Lock()
	none := g.overflow.IsZero()
	g.mu.Unlock()
	if none || g.pause(overflowPause) != nil {
		return
	}
	g.mu.Lock()
	since := g.overflow
	g.overflow = time.Time{}
	g.mu.Unlock()
	to := g.registry.recipients(func(u *user) bool {
		dropped := u.sub.countDropped()
		g.dropped.Add(float64(dropped))
		return dropped > 0
	})
	told := make(map[*Socket]bool)
	g.tell(to, gapBacklog, since, func(s *Socket) bool {
		first := !told[s]
		told[s] = true
		return first
	}, func() bool { return true })
}

// tell sends the gap event to those of the sockets that are due, as fast as
// gapRate allows, until goOn returns false. due is called with the registry's
// read lock held, which is released after each batch.
func (g *gaps) tell(to []recipient, reason string, since time.Time, due func(*Socket) bool, goOn func() bool) {
	if g.event == "" {
		return
	}
	data := fmt.Appendf(nil, `{"since":%d,"reason":%q}`, since.UnixMilli(), reason)
	payload, err := wire.Encode(g.event, data)
	if err != nil {
		panic(err) // New has checked the name
	}
	messages := make(map[string]*Message) // by prefix, as sockets of one namespace share a frame
	message := func(c recipient) *Message {
		if !due(c.socket) {
			return nil
		}
		m := messages[c.prefix]
		if m == nil {
			m = &Message{Payload: payload}
			messages[c.prefix] = m
		}
		return m
	}
	var out []delivery // reused from batch to batch
	for batch := range slices.Chunk(to, gapBatch) {
		if !goOn() {
			return
		}
		out = g.registry.sendEach(batch, message, out[:0])
		taken := uint64(0)
		for _, d := range out {
			taken += d.flush()
		}
		g.told.WithLabelValues(reason).Add(float64(taken))
		if len(out) > 0 && g.pause(gapPause) != nil {
			return
		}
	}
}

// pause waits, or returns ErrGone as soon as the hub closes.
func (g *gaps) pause(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-g.closing.Done():
		return ErrGone
	}
}
