// Package hub is the registry of a gateway: which users have which sockets
// here, and the one NATS subscription that each user has on this node. It is
// the only registry, under one lock, and it imports neither Engine.IO nor
// Socket.IO.
//
//	NATS ──▶ worker (one for each hash of a user) ──▶ the user's sockets ──▶ receipt
//	         confirm.go: what was subscribed or given up, NATS has it
//	         gap.go: what NATS or a worker may have lost, the sockets hear of it
//
// A user's messages from the bus stay in order because one worker handles them
// all; what this process emits itself ([Hub.Emit]) comes in the order of the calls. A
// worker never waits for a socket: [Conn.Send] queues, and a socket whose
// queue is full is closed by itself.
package hub

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/ramainen/doit-socket/internal/wire"
)

// backlog is how many messages may wait for a worker. nats.go drops what
// finds no room; no receipt is given for it, and gap.go tells who missed it.
const backlog = 65536

// Errors that a page gets as the answer to register.
var (
	// ErrTooManyUsers is returned, by way of [TooManyUsers], when a socket would hold more ids than it may.
	ErrTooManyUsers = errors.New("too many ids")
	// ErrGone is returned when the socket or the hub has closed meanwhile.
	ErrGone = errors.New("the connection is closed")
)

// TooManyUsers is [ErrTooManyUsers] with the limit that was passed.
func TooManyUsers(limit int) error {
	return fmt.Errorf("%w: a socket may hold %d", ErrTooManyUsers, limit)
}

// A Conn is a socket as the hub sees it. Send is called with the hub's lock
// held: it must only queue, and call nothing of the hub. Flush and Close are
// called without it.
type Conn interface {
	// ID is the Socket.IO id that the page knows.
	ID() string
	// Send queues an event and reports whether the socket took it.
	Send(*Message) bool
	// Flush writes what Send has queued, as far as the network takes it, and
	// reports whether the socket is still open.
	Flush() (open bool)
	// Close ends the socket because the bus asked for it.
	Close()
}

// A Message is an event on its way to the sockets of one user.
type Message struct {
	// Payload is the JSON array ["event", arg, ...].
	Payload []byte
	// Frame is set by the first Conn that encodes the payload, for the others.
	// One goroutine hands a message to all its sockets.
	Frame any
}

// Options are what a hub needs besides the bus.
type Options struct {
	// Node is the gateway's name in receipts.
	Node string
	// Settle is how long a fresh subscription takes to be known to the other
	// nodes of a NATS cluster. Every registration waits for it where the server is in one.
	Settle time.Duration
	// MaxUsers is how many ids one socket may hold.
	MaxUsers int
	// GapEvent is the event by which a socket hears that it may have missed
	// others; empty, nobody hears of it. [CheckGapEvent] says which names do.
	GapEvent string
	// Sockets counts the connected sockets, registered or not, for /stat/all.
	Sockets func() int
	Log     *slog.Logger
	Metrics *Metrics
}

// A Hub is safe for concurrent use. Close it after its sockets.
type Hub struct {
	Options
	nc      *nats.Conn
	workers []chan *nats.Msg
	stat    *nats.Subscription
	confirm confirmer
	gaps    gaps
	seed    maphash.Seed
	running sync.WaitGroup
	closing context.Context // done when Close is called
	close   context.CancelFunc

	mu sync.RWMutex
	// Guarded by mu, the subscriptions' coming and going included.
	users map[string]*user // by subject; nil once closed
}

// A user is an id with at least one socket on this node.
type user struct {
	subject string
	sub     *nats.Subscription
	sockets []*Socket
	dropped int // how many messages that nats.go dropped are counted; see gap.go

	line line // of events that wait for their turn, in serve.go
	// turn is held while events are given to the sockets, and taken before
	// Hub.mu, which a socket needs that closes meanwhile.
	turn sync.Mutex
	// The first of the sockets have been served; those up to due have yet to
	// be; who came meanwhile is behind. Guarded by Hub.mu, or by that for reading and turn.
	served, due int
}

// A Socket is a Conn's membership: the users that it is registered as.
type Socket struct {
	conn  Conn
	users []*user // guarded by Hub.mu
	gone  bool    // guarded by Hub.mu

	// Guarded by Hub.mu; gap.go says how.
	confirmed bool   // NATS has had its first user's subscription, since it had none
	losses    uint64 // of the bus, which it has heard of or that were before
}

// New returns a hub that serves from now on.
func New(nc *nats.Conn, o Options) (*Hub, error) {
	if err := CheckGapEvent(o.GapEvent); err != nil {
		return nil, fmt.Errorf("gap event %q: %w", o.GapEvent, err)
	}
	h := &Hub{Options: o, nc: nc, seed: maphash.MakeSeed(), users: make(map[string]*user)}
	h.closing, h.close = context.WithCancel(context.Background())
	h.workers = make([]chan *nats.Msg, runtime.GOMAXPROCS(0))
	for i := range h.workers {
		work := make(chan *nats.Msg, backlog)
		h.workers[i] = work
		h.running.Go(func() { h.work(work) })
	}
	h.confirm.wake, h.confirm.leaving = make(chan struct{}, 1), make(map[*nats.Subscription]uint64)
	h.running.Go(h.runConfirm)
	h.gaps.wake = make(chan struct{}, 1)
	h.running.Go(h.runGaps)
	disconnected := nc.DisconnectErrHandler()
	nc.SetDisconnectErrHandler(func(nc *nats.Conn, err error) {
		if disconnected != nil {
			disconnected(nc, err)
		}
		h.lost(err)
	})
	var err error
	if h.stat, err = nc.Subscribe(wire.SubjectStat, h.answerStat); err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// Attach makes a connection known. Detach must follow.
func (h *Hub) Attach(c Conn) *Socket { return &Socket{conn: c} }

// Register adds the users to the socket, all or none, and calls done once:
// with nil when an emit sent from then on reaches the socket. While the bus
// is down, done waits. It is called from another goroutine or this one.
func (h *Hub) Register(s *Socket, subjects []string, done func(error)) {
	if err := h.add(s, subjects); err != nil {
		done(err)
		return
	}
	if !h.confirm.push(registration{s, done}) {
		done(ErrGone)
	}
}

func (h *Hub) add(s *Socket, subjects []string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.gone || h.users == nil {
		return ErrGone
	}
	wanted := make([]string, 0, len(subjects))
	for _, subject := range subjects {
		if s.has(subject) < 0 && !slices.Contains(wanted, subject) {
			wanted = append(wanted, subject)
		}
	}
	if len(s.users)+len(wanted) > h.MaxUsers {
		return TooManyUsers(h.MaxUsers)
	}
	if len(s.users) == 0 {
		s.confirmed = false
	}
	for i, subject := range wanted {
		u, err := h.user(subject)
		if err != nil {
			for _, undo := range wanted[:i] {
				h.leave(s, s.has(undo))
			}
			return err
		}
		u.sockets = append(u.sockets, s)
		s.users = append(s.users, u)
	}
	return nil
}

// user returns the user of a subject, subscribed. The caller holds mu.
func (h *Hub) user(subject string) (*user, error) {
	if u := h.users[subject]; u != nil {
		return u, nil
	}
	work := h.workers[maphash.String(h.seed, subject)%uint64(len(h.workers))]
	sub, err := h.nc.ChanSubscribe(subject, work)
	if err != nil {
		return nil, err
	}
	u := &user{subject: subject, sub: sub}
	h.users[subject] = u
	return u, nil
}

// Unregister takes the users from the socket. When it returns, no event of
// theirs is queued for the socket any more. Ids that it does not hold are ignored.
func (h *Hub) Unregister(s *Socket, subjects []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, subject := range subjects {
		if i := s.has(subject); i >= 0 {
			h.leave(s, i)
		}
	}
}

// Detach takes all users from the socket, for good.
func (h *Hub) Detach(s *Socket) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.gone = true
	for len(s.users) > 0 {
		h.leave(s, len(s.users)-1)
	}
}

// has returns the index of a subject among the socket's users, or -1.
func (s *Socket) has(subject string) int {
	return slices.IndexFunc(s.users, func(u *user) bool { return u.subject == subject })
}

// leave takes the socket's i-th user from it. The caller holds mu.
func (h *Hub) leave(s *Socket, i int) {
	u := s.users[i]
	s.users = slices.Delete(s.users, i, i+1)
	j := slices.Index(u.sockets, s)
	for _, end := range []*int{&u.served, &u.due} {
		if j < *end { // the hole moves on to the next part
			*end--
			u.sockets[j] = u.sockets[*end]
			j = *end
		}
	}
	last := len(u.sockets) - 1
	u.sockets[j], u.sockets[last] = u.sockets[last], nil
	u.sockets = u.sockets[:last]
	if last > 0 {
		return
	}
	delete(h.users, u.subject)
	h.countDropped(u)
	if err := h.retire(u.sub); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		h.Log.Warn("unsubscribe failed", "error", err)
	}
}

// Users returns how many users have a socket here.
func (h *Hub) Users() int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return len(h.users)
}

func (h *Hub) answerStat(m *nats.Msg) {
	stat := wire.Stat{Sockets: h.Sockets(), Users: h.Users(), Node: h.Node}
	if err := m.Respond(stat.Append(nil)); err != nil {
		h.Log.Warn("stat not answered", "error", err)
	}
}

// lastRoundTrip bounds the wait for NATS to confirm, at the end, what was given up.
const lastRoundTrip = time.Second

// Close gives up all subscriptions and returns when the hub's goroutines have
// ended. Messages that wait for a worker are delivered first, and what comes
// until NATS has confirmed that the users are gone is answered. Closing twice is fine.
func (h *Hub) Close() {
	h.mu.Lock()
	users := h.users
	h.users = nil
	h.mu.Unlock()
	if users == nil {
		return
	}
	for _, u := range users {
		_ = h.retire(u.sub)
	}
	if h.stat != nil {
		_ = h.stat.Unsubscribe()
	}
	if h.nc.IsConnected() {
		_ = h.nc.FlushTimeout(lastRoundTrip)
	}
	h.close()
	for _, work := range h.workers {
		work <- nil // not closed: a connection that drains refuses to unsubscribe and goes on sending
	}
	h.running.Wait()
}
