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

// Reasons of a gap, as the event and the metric name them.
const (
	gapBus     = "bus"     // the connection to NATS was lost
	gapBacklog = "backlog" // messages came faster than they could be delivered
)

const (
	// gapRate is how many sockets a second are told of a gap. Their pages
	// then ask PHP for what they missed, all at once without this limit.
	gapRate  = 5000
	gapBatch = 50 // sockets told at once
	gapPause = gapBatch * time.Second / gapRate

	// overflowPause is the time from an overflow to the count of dropped messages.
	// An overflow drops messages in many bursts, and a page should be told once.
	overflowPause = time.Second

	// maxGapEvent is the maximum length of the gap event's name, in bytes.
	maxGapEvent = 100
)

// ErrGapEvent reports a name that [CheckGapEvent] does not allow.
var ErrGapEvent = fmt.Errorf("it must be at most %d bytes of UTF-8, and not a name that Socket.IO reserves", maxGapEvent)

// CheckGapEvent returns [ErrGapEvent] if the gap event cannot have this name. The empty name is
// allowed.
func CheckGapEvent(name string) error {
	if len(name) > maxGapEvent || !utf8.ValidString(name) || wire.Reserved(name) {
		return ErrGapEvent
	}
	return nil
}

// gaps sends the gap event to sockets that may have missed events: after the connection to NATS was
// lost, and after a worker's channel overflowed. One goroutine runs run.
type gaps struct {
	event    string // the name of the gap event; if empty, none is sent
	registry *registry
	losses   *losses
	wait     func() error // [subscriptions.wait]: returns when NATS and its cluster have all subscriptions
	told     *prometheus.CounterVec
	dropped  prometheus.Counter
	wake     signal
	closing  context.Context

	mu       sync.Mutex
	overflow time.Time // the earliest emit that may have been dropped and that no socket was told of; zero if none; guarded by mu
}

// overflowed is called by a worker whose channel was full at some time after since, so that nats.go
// may have dropped messages.
func (g *gaps) overflowed(since time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.overflow.IsZero() {
		g.overflow = since.Add(-transit)
	}
	g.wake.raise()
}

// run sends gap events until the hub closes.
func (g *gaps) run() {
	told := uint64(0) // the number of losses that every socket was told of
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

// tellLoss sends the gap event to every socket that has not been told of this many losses of the
// connection. If the connection is lost again it stops and returns false; the next call tells the
// other sockets.
func (g *gaps) tellLoss(losses uint64) (all bool) {
	to := g.registry.recipients(func(*user) bool { return true })
	g.tell(to, gapBus, g.losses.firstUntold(), func(s *Socket) bool {
		if !s.confirmed || s.losses >= losses {
			return false // not confirmed before the loss, or told already as a socket of another user
		}
		s.losses = losses
		return true
	}, func() bool { return losses == g.losses.soFar() })
	return g.losses.noteTold(losses)
}

// tellOverflow counts the messages that nats.go has dropped since the last call, and sends the gap
// event to the sockets of the users that these and those that workers have dropped were for.
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
		return u.queue.takeMissed() || dropped > 0
	})
	told := make(map[*Socket]bool)
	g.tell(to, gapBacklog, since, func(s *Socket) bool {
		first := !told[s]
		told[s] = true
		return first
	}, func() bool { return true })
}

// tell sends the gap event to each recipient for which due returns true, at gapRate. It stops when
// goOn returns false. due is called while the registry is locked for reading; tell releases that
// lock after each batch.
func (g *gaps) tell(to []recipient, reason string, since time.Time, due func(*Socket) bool, goOn func() bool) {
	if g.event == "" {
		return
	}
	data := fmt.Appendf(nil, `{"since":%d,"reason":%q}`, since.UnixMilli(), reason)
	payload, err := wire.Encode(g.event, data)
	if err != nil {
		panic(err) // cannot happen: New has checked the name
	}
	messages := make(map[string]*Message) // by prefix, because the sockets of one namespace share a frame
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

// pause waits for d. It returns ErrGone at once when the hub closes.
func (g *gaps) pause(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-g.closing.Done():
		return ErrGone
	}
}
