package hub

import (
	"errors"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/wire"
)

func newStopped(t *testing.T, nc *nats.Conn) *Hub {
	h, err := New(nc, Options{Node: "gw", MaxUsers: 32, Sockets: func() int { return 0 }, Metrics: NewMetrics(prometheus.NewRegistry())})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// A hub that is not started has no subscription at NATS. It delivers events emitted in this process. Registrations wait
// for Start.
func TestStart(t *testing.T) {
	s := natstest.Start(t)
	nc := natstest.Connect(t, s)
	before := s.NumSubscriptions()
	h := newStopped(t, nc)
	t.Cleanup(h.Close)
	done := make(chan error, 1)
	h.Register(attach(&recorder{}), []string{"user.42"}, func(err error) { done <- err })
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if n := s.NumSubscriptions() - before; n > 0 {
		t.Errorf("%d subscriptions", n)
	}
	if n := emitHere(h, "user.42", `["e"]`); n != 1 {
		t.Errorf("%d sockets took it", n)
	}
	if len(done) > 0 {
		t.Error("answered")
	}
	if err := errors.Join(h.Start(), <-done); err != nil {
		t.Error(err)
	}
}

// Close undoes Start. It also works if Start failed or was not called. No goroutine is left (TestMain).
func TestCloseWithoutStart(t *testing.T) {
	nc := natstest.Connect(t, natstest.Start(t))
	for _, failing := range []bool{false, true} {
		h := newStopped(t, nc)
		done := make(chan error, 1)
		h.Register(attach(&recorder{}), []string{"user.42"}, func(err error) { done <- err })
		if failing {
			nc.Close()
			if err := h.Start(); !errors.Is(err, nats.ErrConnectionClosed) {
				t.Errorf("Start: %v", err)
			}
		}
		h.Close()
		if err := <-done; !errors.Is(err, ErrGone) {
			t.Errorf("%v", err)
		}
		h.Register(attach(&recorder{}), []string{"user.42"}, func(err error) { done <- err })
		if err := <-done; !errors.Is(err, ErrGone) {
			t.Errorf("afterwards: %v", err)
		}
	}
}

// Methods of a Conn and done are called with exactly the locks held that the package comment lists.
func TestLocks(t *testing.T) {
	b := newBench(t)
	h := b.hub
	held := func(m interface {
		TryLock() bool
		Unlock()
	}) bool {
		if m.TryLock() {
			m.Unlock()
			return false
		}
		return true
	}
	check := func(where string, registry, turn bool) {
		if got := held(&h.registry.mu); got != registry {
			t.Errorf("%s: registry.mu held: %v", where, got)
		}
		if !registry { // else reading its map here would be a race
			if u := h.registry.find("user.42"); u != nil {
				if held(&u.queue.mu) {
					t.Errorf("%s: queue.mu held", where)
				}
				if u.queue.taken() != turn {
					t.Errorf("%s: turn taken: %v", where, !turn)
				}
			}
		}
		for name, m := range map[string]*sync.Mutex{
			"subscriptions": &h.subscriptions.mu, "drains": &h.subscriptions.drains.mu, "losses": &h.losses.mu, "gaps": &h.gaps.mu,
		} {
			if held(m) {
				t.Errorf("%s: %s.mu held", where, name)
			}
		}
	}
	c := &probe{
		onSend:  func() { check("Send", true, true) },
		onFlush: func() { check("Flush", false, true) },
		onClose: func() { check("Close", false, true) },
	}
	done := make(chan error, 1)
	h.Register(attach(c), []string{"user.42"}, func(err error) {
		check("done", false, false)
		done <- err
	})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	b.flush()
	emitHere(h, "user.42", `["e"]`)
	b.emit(event("user.42", `["e"]`))
	m := event("user.42", "")
	m.Header.Set(wire.HeaderOp, wire.OpDisconnect)
	b.emit(m)
	if c.calls != 5 {
		t.Errorf("%d calls", c.calls)
	}
}

type probe struct {
	onSend, onFlush, onClose func()
	calls                    int
}

func (*probe) ID() string           { return "" }
func (p *probe) Send(*Message) bool { p.calls++; p.onSend(); return true }
func (p *probe) Flush() bool        { p.calls++; p.onFlush(); return true }
func (p *probe) Close()             { p.calls++; p.onClose() }

// Files that take the registry's lock do not import nats.go, so they cannot wait for NATS under it.
func TestFilesThatKnowNATS(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var know []string
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range parsed.Imports {
			if path, _ := strconv.Unquote(i.Path.Value); strings.HasPrefix(path, "github.com/nats-io/") {
				know = append(know, f.Name())
			}
		}
	}
	if want := []string{"drains.go", "hub.go", "subscription.go", "subscriptions.go", "worker.go"}; !slices.Equal(know, want) {
		t.Errorf("%q know NATS, want %q", know, want)
	}
}
