package hub

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/ramainen/doit-socket/internal/budget"
	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A bench is a hub on a real nats-server, and a publisher with a connection of its own.
type bench struct {
	t      testing.TB
	server *server.Server
	hub    *Hub
	pub    *nats.Conn
	base   uint32 // subscriptions at the server without users
}

func newBench(t testing.TB) *bench {
	s := natstest.Start(t)
	nc := natstest.Connect(t, s)
	b := &bench{t: t, server: s, pub: natstest.Connect(t, s), hub: newHub(t, nc)}
	b.emit(event("user.nobody", `["e"]`)) // the publisher subscribes to answers
	b.flush()
	b.base = s.NumSubscriptions()
	return b
}

func newHub(t testing.TB, nc *nats.Conn, change ...func(*Options)) *Hub {
	o := Options{
		Budget: budget.New(1 << 30),
		Node:   "gw", Settle: 50 * time.Millisecond, MaxUsers: 32, Sockets: func() int { return 0 },
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Metrics: NewMetrics(prometheus.NewRegistry()),
	}
	for _, f := range change {
		f(&o)
	}
	h, err := New(nc, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.Close()
		if used := o.Budget.Used(); used != 0 {
			t.Errorf("%d bytes still count", used)
		}
	})
	return h
}

// attach returns a socket of c.
func attach(c Conn) *Socket {
	s := NewSocket(c)
	return &s
}

// flush returns when the server has exactly the subscriptions that the hub wants, and all messages published before.
func (b *bench) flush() {
	if err := errors.Join(b.hub.subscriptions.wait(), b.hub.nc.Flush()); err != nil {
		b.t.Fatal(err)
	}
}

// users returns how many users the server has subscriptions for.
func (b *bench) users() int {
	b.flush()
	return int(b.server.NumSubscriptions() - b.base)
}

// awaitUsers waits until the server has subscriptions for so many users. It is for tests in which the connection breaks:
// the server may notice the end of the old connection after the start of the new one.
func (b *bench) awaitUsers(want int) {
	b.t.Helper()
	natstest.Await(b.t, fmt.Sprintf("%d subscriptions", want), func() bool { return b.users() == want })
}

// register registers a socket and waits until the registration is confirmed.
func (b *bench) register(s *Socket, subjects ...string) error {
	done := make(chan error, 1)
	b.hub.Register(s, subjects, func(err error) { done <- err })
	select {
	case err := <-done:
		return err
	case <-time.After(natstest.Patience):
		b.t.Fatal("registration not confirmed in time")
		return nil
	}
}

// emit publishes an event and returns its receipt, or false if nobody is subscribed.
func (b *bench) emit(m *nats.Msg) (wire.Receipt, bool) {
	answer, err := b.pub.RequestMsg(m, natstest.Patience)
	if errors.Is(err, nats.ErrNoResponders) {
		return wire.Receipt{}, false
	}
	if err != nil {
		b.t.Fatalf("emit to %s: %v", m.Subject, err)
	}
	r, err := wire.ParseReceipt(answer.Data)
	if err != nil {
		b.t.Fatalf("answer %q: %v", answer.Data, err)
	}
	return r, true
}

func event(subject, payload string) *nats.Msg {
	return &nats.Msg{Subject: subject, Data: []byte(payload), Header: nats.Header{}}
}

func subject(t testing.TB, id string) string {
	s, err := wire.Subject("", id)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A recorder is a Conn that records the events sent to it.
type recorder struct {
	id   string
	full bool // Send takes no event

	mu     sync.Mutex
	queued []string
	heard  []string // flushed
	closed bool
}

func (r *recorder) ID() string { return r.id }

func (r *recorder) Send(m *Message) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.full {
		r.queued = append(r.queued, string(m.Payload))
	}
	return !r.full
}

func (r *recorder) Flush() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard, r.queued = append(r.heard, r.queued...), nil
	return !r.closed
}

func (r *recorder) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
}

// take returns the events recorded since the last call.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	heard := r.heard
	r.heard = nil
	return heard
}
