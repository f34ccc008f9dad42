package natsd

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/ramainen/doit-socket/internal/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, maxPayload int, log *slog.Logger) *Server {
	t.Helper()
	began := time.Now()
	s, err := Start("node-1", maxPayload, ClusterConfig{}, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v to start", took)
	}
	return s
}

func connect(t *testing.T, s *Server) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect("", s.Options()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// The server listens on no port, and two servers in one process are separate.
func TestNoPort(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	first, second := start(t, 1<<20, log), start(t, 1<<20, log)
	for _, s := range []*Server{first, second} {
		if s.server.Addr() != nil || s.server.MonitorAddr() != nil || s.server.ClusterAddr() != nil {
			t.Errorf("it listens on %v, %v, %v", s.server.Addr(), s.server.MonitorAddr(), s.server.ClusterAddr())
		}
		if s.server.JetStreamEnabled() {
			t.Error("it stores")
		}
	}
	here, there := connect(t, first), connect(t, second)
	heard, err := here.SubscribeSync("hello")
	if err != nil {
		t.Fatal(err)
	}
	if err := here.Flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := there.Request("hello", nil, natstest.Patience); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("the other server: %v", err)
	}
	if err := connect(t, first).Publish("hello", []byte("hi")); err != nil {
		t.Fatal(err)
	}
	if m, err := heard.NextMsg(natstest.Patience); err != nil || string(m.Data) != "hi" {
		t.Errorf("%v, %v", m, err)
	}
}

// The largest message is maxPayload, even if that is above nats-server's default.
func TestMaxPayload(t *testing.T) {
	const most = 8 << 20
	log := &locked{}
	nc := connect(t, start(t, most, slog.New(slog.NewTextHandler(log, nil))))
	heard, err := nc.SubscribeSync("big")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Publish("big", make([]byte, most)); err != nil {
		t.Error(err)
	}
	if m, err := heard.NextMsg(natstest.Patience); err != nil || len(m.Data) != most {
		t.Errorf("%v", err)
	}
	if err := nc.Publish("big", make([]byte, most+1)); !errors.Is(err, nats.ErrMaxPayload) {
		t.Errorf("one more: %v", err)
	}
	if text := log.String(); text != "" {
		t.Errorf("logged %q", text)
	}
}

func TestBadName(t *testing.T) {
	if _, err := Start("a b", 1<<20, ClusterConfig{}, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "nats-server") {
		t.Errorf("%v", err)
	}
}

// Shutdown does not wait for an open connection of this process.
func TestShutdown(t *testing.T) {
	s := start(t, 1<<20, slog.New(slog.DiscardHandler))
	nc := connect(t, s)
	began := time.Now()
	s.Shutdown()
	s.Shutdown()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	natstest.Await(t, "disconnect", func() bool { return !nc.IsConnected() })
}

type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
