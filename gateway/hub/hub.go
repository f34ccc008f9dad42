// Package hub is the registry of a gateway: it knows which users have which
// sockets on this node, holds one NATS subscription for each of these users,
// and hands their events to their sockets. It imports neither Engine.IO nor
// Socket.IO.
//
//	NATS ──▶ worker.go ──▶ fanout.go ──▶ registry.go, user.go ──▶ Conn.Send, Conn.Flush
//	           │              ▲
//	           │              └── Hub.Emit: events of this process
//	           └──▶ the receipt, on NATS
//
//	Hub.Register ──▶ registry.go ──▶ subscriptions.go ──▶ NATS
//	Hub.Detach  ──┘                    └─ drains.go: subscriptions that NATS has yet to give up
//
//	the connection to NATS is lost ──▶ losses.go ──▶ gap.go ──▶ Conn.Send, Conn.Flush
//	a worker's queue overflows     ──────────────────┘
//
// A user's messages from NATS stay in order because one worker handles them
// all. Events of this process come in the order of the calls of [Hub.Emit]. A
// worker never waits for a socket: [Conn.Send] queues, and a socket whose queue
// is full is closed by itself.
//
// # Locks
//
// In the order in which they are taken:
//
//	user.turn        held while a user's events are sent to the user's sockets, Conn.Flush included
//	registry.mu      users, sockets and membership; held during Conn.Send
//	queue.mu, subscriptions.mu, drains.mu, losses.mu, gaps.mu
//	                 innermost: no other lock is taken under them
//
// Conn.Flush, Conn.Close and the callback of Register are called without
// registry.mu, and may call the hub.
//
// No lock of this package is held while nats.go is called: nats.go holds the
// lock of its connection while it dials, for as long as a silent server makes
// it wait, and most of its calls need that lock. Closing a socket, an event of
// this process and the number of users need NATS at no point. The one exception
// is [nats.Subscription.Dropped], which needs only the subscription's lock.
package hub

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ramainen/doit-socket/internal/wire"
)

// Options are what a hub needs besides NATS.
type Options struct {
	// Node is the gateway's name in receipts.
	Node string
	// Settle is the flag --settle: how long a fresh subscription takes to reach
	// the other nodes of a NATS cluster. Where the server is in a cluster, every
	// registration waits for it.
	Settle time.Duration
	// MaxUsers is how many users one socket may hold.
	MaxUsers int
	// GapEvent is the name of the event that tells a socket that it may have
	// missed others. Empty, no socket is told. [CheckGapEvent] says which names are allowed.
	GapEvent string
	// Sockets counts the connected sockets, registered or not, for /stat/all.
	Sockets func() int
	Log     *slog.Logger
	Metrics *Metrics
}

// A Hub joins the parts of this package. It is safe for concurrent use, but
// for Start and Close, which one goroutine calls, in this order.
type Hub struct {
	options Options
	nc      *nats.Conn

	registry      *registry
	fanout        *fanout
	workers       *workers
	losses        *losses
	subscriptions *subscriptions
	gaps          *gaps

	stat    *nats.Subscription // nil until Start
	running sync.WaitGroup     // workers and gaps
	closing context.Context    // done when Close is called
	close   context.CancelFunc
}

// New returns a hub that serves from [Hub.Start] on. It fails if the gap event
// is not allowed.
func New(nc *nats.Conn, o Options) (*Hub, error) {
	if err := CheckGapEvent(o.GapEvent); err != nil {
		return nil, fmt.Errorf("gap event %q: %w", o.GapEvent, err)
	}
	h := &Hub{options: o, nc: nc, losses: &losses{}}
	h.closing, h.close = context.WithCancel(context.Background())
	changed := newSignal()
	h.registry = newRegistry(o.MaxUsers, changed)
	h.fanout = &fanout{registry: h.registry, delivered: o.Metrics.delivered}
	h.workers = newWorkers()
	backlogged := o.Metrics.dropped.WithLabelValues("backlog")
	h.subscriptions = &subscriptions{
		nc: nc, registry: h.registry, losses: h.losses, channel: h.workers.channel, settle: o.Settle,
		dropped: backlogged, log: o.Log, wake: changed, closing: h.closing, ended: make(chan struct{}), drains: newDrains(),
	}
	h.gaps = &gaps{
		event: o.GapEvent, registry: h.registry, losses: h.losses, wait: h.subscriptions.wait,
		told: o.Metrics.gaps, dropped: backlogged, wake: newSignal(), closing: h.closing,
	}
	return h, nil
}

// Start answers on [wire.SubjectStat] and starts the hub's goroutines. If it
// fails, nothing runs.
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
	for _, messages := range h.workers.channels {
		w := &worker{
			node: h.options.Node, nc: h.nc, registry: h.registry, fanout: h.fanout,
			overflowed: h.gaps.overflowed, dropped: h.options.Metrics.dropped, messages: messages,
		}
		h.running.Go(w.run)
	}
	h.running.Go(h.gaps.run)
	go h.subscriptions.run()
	return nil
}

// Close gives up all subscriptions and returns when the hub's goroutines have
// ended. Messages that wait for a worker are delivered first, to nobody, and
// what comes until NATS has confirmed that the subscriptions are given up is
// answered. A registration that waits is answered with [ErrGone]. Close waits
// for NATS, for some seconds at most where NATS is silent. Close the sockets
// before. Closing twice, or before Start, is fine.
func (h *Hub) Close() {
	if !h.registry.close() {
		return
	}
	h.close()
	if h.stat == nil { // never started
		h.subscriptions.refuseAll()
		return
	}
	_ = h.stat.Unsubscribe()
	<-h.subscriptions.ended
	for _, messages := range h.workers.channels {
		messages <- nil // not closed: a connection that drains refuses to unsubscribe and goes on sending
	}
	h.running.Wait()
}

// Attach makes a connection known. Detach must follow.
func (h *Hub) Attach(c Conn) *Socket { return &Socket{conn: c} }

// Register adds the users of the subjects to the socket, all or none, and
// calls done once: with nil when an emit sent from then on, from anywhere,
// reaches the socket. While NATS is away, done waits. Register itself does not
// wait. done is called by this goroutine or by one that must not be held up.
func (h *Hub) Register(s *Socket, subjects []string, done func(error)) {
	added, err := h.registry.add(s, subjects)
	if err != nil {
		done(err)
		return
	}
	h.subscriptions.push(registration{socket: s, subjects: subjects, added: added, done: done})
}

// Unregister takes the users of the subjects from the socket. When it returns,
// no event of theirs is queued for the socket any more. Subjects that the
// socket does not hold are ignored.
func (h *Hub) Unregister(s *Socket, subjects []string) { h.registry.remove(s, subjects) }

// Detach takes all users from the socket, for good. Detaching twice is fine.
func (h *Hub) Detach(s *Socket) { h.registry.detach(s) }

// Users returns how many users have a socket here.
func (h *Hub) Users() int { return h.registry.count() }

// Emit sends an event to the sockets that a user has on this node, in the
// caller's goroutine, and returns the receipt that this node would give on
// NATS. Other nodes hear nothing of it. The message is an event whose payload
// passes [wire.Check]; operations are for NATS.
func (h *Hub) Emit(m wire.Message) wire.Receipt {
	e := &emit{Message: Message{Payload: m.Payload}, except: m.Except}
	h.fanout.deliver(m.Subject, e)
	return wire.Receipt{Sockets: e.sockets, Node: h.options.Node}
}

func (h *Hub) answerStat(m *nats.Msg) {
	stat := wire.Stat{Sockets: h.options.Sockets(), Users: h.Users(), Node: h.options.Node}
	if err := m.Respond(stat.Append(nil)); err != nil {
		h.options.Log.Warn("stat not answered", "error", err)
	}
}

// disconnected is called by nats.go, in order, each time that the connection is
// lost; after Close it does nothing.
func (h *Hub) disconnected(err error) {
	h.losses.add(err, h.nc.Opts.PingInterval*time.Duration(h.nc.Opts.MaxPingsOut+1))
	h.gaps.wake.raise()
	h.subscriptions.disconnected()
}
