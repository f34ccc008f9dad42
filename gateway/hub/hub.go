// Package hub is the registry of a gateway. It knows which sockets each user has on this node,
// holds one NATS subscription for each of these users, and sends a user's events to the user's
// sockets. It knows neither Engine.IO nor Socket.IO.
//
//	NATS ──▶ worker.go ──▶ queue.go, line.go ──▶ fanout.go ──▶ registry.go, user.go ──▶ Conn.Send, Conn.Flush
//	                            ▲                  └──▶ the receipt, on NATS
//	                            └── emit.go: events emitted in this process
//
//	Hub.Register ──▶ registry.go ──▶ subscriptions.go ──▶ NATS
//	Hub.Detach  ──┘    └─ linger.go    ├─ confirm.go: round trips
//	                                   └─ drains.go: unsubscribes that NATS has not confirmed
//
//	the connection to NATS is lost ──▶ losses.go ──▶ gap.go ──▶ Conn.Send, Conn.Flush
//	a worker's channel overflows   ──────────────────┘
//
// A user's events stay in order because they pass through one queue, which one goroutine at a time
// empties: that which has the user's turn. Messages from NATS come to that queue in order because one
// worker takes all messages for a user. Nobody waits for a socket: [Conn.Send] only queues, and
// [Conn.Flush] closes a socket with too much in its queue.
//
// Users take turns of a millisecond (line.go). So a user with many sockets, or many events, delays
// himself and hardly the others.
//
// # Locks
//
// In the order in which they are taken:
//
//	registry.mu      users, sockets and membership; held during Conn.Send
//	queue.mu, line.mu, subscriptions.mu, drains.mu, losses.mu, gaps.mu
//	                 innermost: no other lock is taken while one of them is held
//
// A user's turn is no lock: whoever finds it taken leaves his events in the queue and goes on.
//
// Conn.Flush, Conn.Close and the callback of Register are called without
// registry.mu, and may call the hub.
//
// No lock of this package is held during a call of nats.go. nats.go holds the lock of its
// connection while it dials, which takes long if the server does not respond, and most of its
// methods wait for that lock. Receipts are published by who has a user's turn, and may wait for it. The one exception is [nats.Subscription.Dropped], which takes only
// the lock of the subscription. Detach, Emit and Users do not call nats.go at all.
package hub

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ramainen/doit-socket/internal/budget"
	"github.com/ramainen/doit-socket/internal/wire"
)

// Options are the settings of a hub, and what it needs besides NATS.
type Options struct {
	// Node is the label of this gateway in receipts (--node).
	Node string
	// Settle is how long a new subscription takes to reach the other servers of a
	// NATS cluster (--settle). In a cluster, each registration is confirmed this
	// long after NATS has confirmed its subscription.
	Settle time.Duration
	// Linger is how long, in a NATS cluster, a subscription stays after its user's last socket has
	// left, unless a message for the user comes. 0 means that it does not stay.
	Linger time.Duration
	// MaxUsers is how many users one socket may register as.
	MaxUsers int
	// GapEvent is the name of the event that tells a socket that it may have
	// missed events. If it is empty, none is sent. [CheckGapEvent] checks the name.
	GapEvent string
	// Budget counts the messages from NATS that wait for delivery. If it is nil, only
	// the bounds of this package hold.
	Budget *budget.Budget
	// Sockets returns the number of connected sockets, registered or not, for /stat/all.
	Sockets func() int
	Log     *slog.Logger
	Metrics *Metrics
}

// A Hub connects the parts of this package. It is safe for concurrent use, except for Start and
// Close, which one goroutine must call, in this order.
type Hub struct {
	options Options
	nc      *nats.Conn

	registry      *registry
	fanout        *fanout
	workers       workers
	losses        *losses
	subscriptions *subscriptions
	gaps          *gaps

	stat    *nats.Subscription // nil until Start
	running sync.WaitGroup     // the goroutines of the workers and of gaps
	closing context.Context    // done when Close is called
	close   context.CancelFunc
}

// New returns a hub. It subscribes to nothing before [Hub.Start]. The error is [ErrGapEvent] if the
// gap event's name is not allowed.
func New(nc *nats.Conn, o Options) (*Hub, error) {
	if err := CheckGapEvent(o.GapEvent); err != nil {
		return nil, fmt.Errorf("gap event %q: %w", o.GapEvent, err)
	}
	h := &Hub{options: o, nc: nc, losses: &losses{}}
	h.closing, h.close = context.WithCancel(context.Background())
	changed := newSignal()
	h.registry = newRegistry(o.MaxUsers, changed)
	h.workers = newWorkers(o.Budget)
	h.fanout = &fanout{
		registry: h.registry, workers: h.workers, publish: nc.Publish, node: o.Node,
		delivered: o.Metrics.delivered, dropped: o.Metrics.dropped,
	}
	backlogged := o.Metrics.dropped.WithLabelValues("backlog")
	h.subscriptions = &subscriptions{
		nc: nc, registry: h.registry, losses: h.losses, channel: h.workers.channel, settle: o.Settle, linger: o.Linger,
		dropped: backlogged, log: o.Log, wake: changed, closing: h.closing, ended: make(chan struct{}), drains: newDrains(),
	}
	h.gaps = &gaps{
		event: o.GapEvent, registry: h.registry, losses: h.losses, wait: h.subscriptions.wait,
		told: o.Metrics.gaps, dropped: backlogged, wake: newSignal(), closing: h.closing,
	}
	return h, nil
}

// Start subscribes to [wire.SubjectStat] and starts the hub's goroutines. After an error nothing
// runs.
func (h *Hub) Start() error {
	var err error
	if h.stat, err = h.nc.Subscribe(wire.SubjectStat, h.answerStat); err != nil {
		return fmt.Errorf("subscribe to %s: %w", wire.SubjectStat, err)
	}
	previous := h.nc.DisconnectErrHandler()
	h.nc.SetDisconnectErrHandler(func(nc *nats.Conn, err error) {
		if previous != nil {
			previous(nc, err)
		}
		h.disconnected(err)
	})
	for _, inlet := range h.workers.each {
		w := &worker{
			registry: h.registry, fanout: h.fanout,
			overflowed: h.gaps.overflowed, dropped: h.options.Metrics.dropped, inlet: inlet,
		}
		h.running.Go(w.run)
	}
	h.running.Go(h.gaps.run)
	go h.subscriptions.run()
	return nil
}

// Close removes all subscriptions and returns when the hub's goroutines have ended. The caller
// closes the sockets first. A message that arrives before NATS has confirmed the unsubscribes is
// answered with a receipt of zero sockets. A registration that waits is answered with [ErrGone]. If
// NATS does not respond, Close waits for it for some seconds at most.
//
// Close may be called before Start and more than once.
func (h *Hub) Close() {
	if !h.registry.close() {
		return
	}
	h.close()
	if h.stat == nil { // not started
		h.subscriptions.refuseAll()
		return
	}
	_ = h.stat.Unsubscribe()
	<-h.subscriptions.ended
	for _, inlet := range h.workers.each {
		inlet.messages <- nil // the channel is not closed: a draining connection refuses to unsubscribe and may still send on it
	}
	h.running.Wait()
}

// Register registers the socket as the users of the subjects, all or none. It does not wait. It
// calls done once: with nil as soon as every later emit, from any ingest, reaches the socket, or
// with an error. While NATS is not connected, done is not called. done runs in the caller's
// goroutine or in one of the hub, and must not block.
func (h *Hub) Register(s *Socket, subjects []string, done func(error)) {
	added, err := h.registry.add(s, subjects)
	if err != nil {
		done(err)
		return
	}
	h.subscriptions.push(registration{socket: s, subjects: subjects, added: added, done: done})
}

// Unregister undoes Register for the users of the subjects. After it returns, no further event of
// these users is queued for the socket. Subjects that the socket is not registered for are ignored.
func (h *Hub) Unregister(s *Socket, subjects []string) { h.registry.remove(s, subjects) }

// Detach unregisters the socket from all users for good. It may be called more than once.
func (h *Hub) Detach(s *Socket) { h.registry.detach(s) }

// NewUsers returns how many of the subjects are of users that have neither a socket nor a
// subscription on this node. To register these costs NATS a subscription each.
func (h *Hub) NewUsers(subjects []string) int { return h.registry.newUsers(subjects) }

// Users returns how many users have a socket on this node.
func (h *Hub) Users() int { return h.registry.count() }

// answerStat answers a request on [wire.SubjectStat]. It runs in a goroutine of nats.go.
func (h *Hub) answerStat(m *nats.Msg) {
	stat := wire.Stat{Sockets: h.options.Sockets(), Users: h.Users(), Node: h.options.Node}
	if err := m.Respond(stat.Append(nil)); err != nil {
		h.options.Log.Warn("stat not answered", "error", err)
	}
}

// disconnected is called by nats.go each time the connection is lost, one call after the other.
// After Close it has no effect.
func (h *Hub) disconnected(err error) {
	h.losses.add(err, h.nc.Opts.PingInterval*time.Duration(h.nc.Opts.MaxPingsOut+1))
	h.gaps.wake.raise()
	h.subscriptions.disconnected()
}
