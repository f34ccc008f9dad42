package hub

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/ramainen/doit-socket/internal/wire"
)

// Why a socket may have missed events, as the page and the metric have it.
const (
	gapBus     = "bus"     // the connection to NATS was lost
	gapBacklog = "backlog" // messages came faster than they could be delivered
)

const (
	// gapRate is how many sockets a second hear of a gap: their pages will all ask PHP for what they missed.
	gapRate  = 5000
	gapBatch = 50 // sockets told at once
	gapPause = gapBatch * time.Second / gapRate

	// transit is how long a message may have been on its way when it was lost.
	transit = time.Second
	// floodPause is how long to wait before counting what a flood of messages
	// has cost: it is dropped in many bursts, and a page should hear of one.
	floodPause = time.Second

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

// gaps is what the sockets have yet to be told of.
type gaps struct {
	wake chan struct{} // one token: there is something to tell

	mu sync.Mutex
	// Guarded by mu.
	losses  uint64    // how often the bus was lost
	since   time.Time // the first loss of which not every socket has heard; zero if none
	flood   time.Time // since when a worker's channel may have been full; zero if none was
	reached time.Time // until when, for certain, nothing was lost: NATS has answered what it was asked then
}

func (g *gaps) lossesSoFar() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.losses
}

func (g *gaps) reachedAt(t time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.After(g.reached) { // two goroutines ask
		g.reached = t
	}
}

// lost is called by the NATS connection, in order, each time that it is lost.
func (h *Hub) lost(err error) {
	now := time.Now()
	h.gaps.add(func(g *gaps) {
		g.losses++
		if !g.since.IsZero() {
			return
		}
		g.since = now
		if !errors.Is(err, io.EOF) {
			// It did not end by the server's word. So it may have been silent
			// before, for as long as nats.go waits for answers to its pings.
			silence := h.nc.Opts.PingInterval * time.Duration(h.nc.Opts.MaxPingsOut+1)
			g.since = now.Add(-silence)
			if g.since.Before(g.reached) {
				g.since = g.reached
			}
		}
		g.since = g.since.Add(-transit)
	})
	h.forsake()
}

// flooded is called by a worker whose channel was full at some time after since.
func (h *Hub) flooded(since time.Time) {
	h.gaps.add(func(g *gaps) {
		if g.flood.IsZero() {
			g.flood = since.Add(-transit)
		}
	})
}

func (g *gaps) add(change func(*gaps)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change(g)
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// runGaps tells the sockets until the hub closes.
func (h *Hub) runGaps() {
	told := uint64(0) // losses of which every socket has heard
	for {
		select {
		case <-h.gaps.wake:
		case <-h.closing.Done():
			return
		}
		h.tellFlood()
		for losses := h.gaps.lossesSoFar(); told < losses; losses = h.gaps.lossesSoFar() {
			if _, err := h.reach(); err != nil || h.settle() != nil {
				return
			}
			if losses == h.gaps.lossesSoFar() && h.tellLoss(losses) {
				told = losses
			}
		}
	}
}

// A missed is a socket that may have missed events. Sockets under one prefix
// of subjects are in one namespace: they share a message.
type missed struct {
	socket *Socket
	prefix string
}

func (u *user) missed(to []missed) []missed {
	prefix := u.subject[:strings.LastIndexByte(u.subject, '.')]
	for _, s := range u.sockets {
		to = append(to, missed{s, prefix})
	}
	return to
}

// tellLoss tells every socket that has not heard of so many losses. It returns
// false, and leaves the rest for later, if the bus is lost again meanwhile.
func (h *Hub) tellLoss(losses uint64) (all bool) {
	h.gaps.mu.Lock()
	since := h.gaps.since
	h.gaps.mu.Unlock()
	deaf := make([]missed, 0, h.Users())
	h.mu.RLock()
	for _, u := range h.users {
		deaf = u.missed(deaf)
	}
	h.mu.RUnlock()
	h.tell(deaf, gapBus, since, func(s *Socket) bool {
		if !s.confirmed || s.losses >= losses {
			return false // it was promised nothing at the time, or heard of it as another user
		}
		s.losses = losses
		return true
	}, func() bool { return losses == h.gaps.lossesSoFar() })

	h.gaps.mu.Lock()
	defer h.gaps.mu.Unlock()
	if h.gaps.losses != losses {
		return false
	}
	h.gaps.since = time.Time{}
	return true
}

// tellFlood counts what nats.go has dropped since the last time, and tells the
// sockets of the users that it was for.
func (h *Hub) tellFlood() {
	h.gaps.mu.Lock()
	flooded := !h.gaps.flood.IsZero()
	h.gaps.mu.Unlock()
	if !flooded || h.pause(floodPause) != nil {
		return
	}
	h.gaps.mu.Lock()
	since := h.gaps.flood
	h.gaps.flood = time.Time{}
	h.gaps.mu.Unlock()
	var deaf []missed
	h.mu.RLock()
	for _, u := range h.users {
		if h.countDropped(u) > 0 {
			deaf = u.missed(deaf)
		}
	}
	h.mu.RUnlock()
	told := make(map[*Socket]bool)
	h.tell(deaf, gapBacklog, since, func(s *Socket) bool {
		first := !told[s]
		told[s] = true
		return first
	}, func() bool { return true })
}

// countDropped counts the messages for a user that found no room in its
// worker's channel, since it last did. nats.go calls its error handler only for
// the first of a series, so the worker looks out for series. The caller holds
// mu, or, in runGaps alone, its read lock.
func (h *Hub) countDropped(u *user) int {
	dropped, err := u.sub.Dropped()
	if err != nil {
		return 0 // the connection is closed
	}
	n := dropped - u.dropped
	u.dropped = dropped
	h.Metrics.dropped.WithLabelValues("backlog").Add(float64(n))
	return n
}

// tell sends the gap event to the sockets that are due, as fast as gapRate
// allows, until goOn says no. The hub's read lock is held for each batch only,
// and while due is called.
func (h *Hub) tell(deaf []missed, reason string, since time.Time, due func(*Socket) bool, goOn func() bool) {
	if h.GapEvent == "" {
		return
	}
	data := fmt.Appendf(nil, `{"since":%d,"reason":%q}`, since.UnixMilli(), reason)
	payload, err := wire.Encode(h.GapEvent, data)
	if err != nil {
		panic(err) // New has looked at the name
	}
	messages := make(map[string]*Message) // by prefix
	var told []offer                      // reused from batch to batch
	for batch := range slices.Chunk(deaf, gapBatch) {
		if !goOn() {
			return
		}
		told = told[:0]
		h.mu.RLock()
		for _, m := range batch {
			if len(m.socket.users) == 0 || !due(m.socket) {
				continue
			}
			message := messages[m.prefix]
			if message == nil {
				message = &Message{Payload: payload}
				messages[m.prefix] = message
			}
			o := offer{socket: m.socket}
			if m.socket.conn.Send(message) {
				o.took = 1
			}
			told = append(told, o)
		}
		h.mu.RUnlock()
		taken := uint64(0)
		for _, o := range told {
			taken += o.settle()
		}
		h.Metrics.gaps.WithLabelValues(reason).Add(float64(taken))
		if len(told) > 0 && h.pause(gapPause) != nil {
			return
		}
	}
}
