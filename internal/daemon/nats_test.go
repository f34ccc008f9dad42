package daemon

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/ramainen/doit-socket/internal/natstest"
)

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func connect(t *testing.T, url string, log *slog.Logger) *nats.Conn {
	t.Helper()
	nc, err := Connect(url, "test", log, func(err error) { t.Errorf("failed: %v", err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Drain(nc) })
	return nc
}

// A program may start before its bus. While that is away a publish fails at
// once, and is not sent later; then all works by itself.
func TestTheBusMayComeLater(t *testing.T) {
	log := &lockedBuffer{}
	s := natstest.Start(t)
	natstest.Stop(s)
	nc := connect(t, strings.Replace(s.ClientURL(), "nats://", "nats://name:secret-word@", 1), NewLog("debug", log))
	if Connected(nc)() == nil {
		t.Error("connected to nothing")
	}
	heard, err := nc.SubscribeSync("hello")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		began := time.Now()
		if err := nc.Publish("hello", []byte("lost")); !errors.Is(err, nats.ErrReconnectBufExceeded) || time.Since(began) > time.Second {
			t.Errorf("publish while the bus is away: %v after %v", err, time.Since(began))
		}
		again := natstest.Restart(t, s)
		natstest.Await(t, "connection", func() bool { return Connected(nc)() == nil })
		if err := nc.Publish("hello", []byte("hi")); err != nil {
			t.Fatal(err)
		}
		if m, err := heard.NextMsg(natstest.Patience); err != nil || string(m.Data) != "hi" {
			t.Errorf("heard %v, %v", m, err)
		}
		natstest.Stop(again)
		natstest.Await(t, "disconnect", func() bool { return Connected(nc)() != nil })
	}
	if text := log.String(); strings.Contains(text, "secret-word") || !strings.Contains(text, "nats reconnected") {
		t.Errorf("logged %q", text)
	}
}

// A refusal of the server ends the program.
func TestRefusedIsTold(t *testing.T) {
	s := natstest.Start(t, func(o *server.Options) { o.Username, o.Password = "name", "right" })
	failed := make(chan error, 1)
	nc, err := Connect(strings.Replace(s.ClientURL(), "nats://", "nats://name:wrong@", 1), "test", slog.New(slog.DiscardHandler), func(err error) { failed <- err })
	if err != nil {
		if !errors.Is(err, nats.ErrAuthorization) || strings.Contains(err.Error(), "wrong") {
			t.Errorf("refused with %v", err)
		}
		return
	}
	defer nc.Close()
	select {
	case err := <-failed:
		if !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("failed with %v", err)
		}
	case <-time.After(natstest.Patience):
		t.Error("not told")
	}
}

// Drain sends what is queued and hands over what has arrived before it
// returns; without a server it does not wait for one.
func TestDrain(t *testing.T) {
	s := natstest.Start(t)
	log := slog.New(slog.DiscardHandler)
	nc := connect(t, s.ClientURL(), log)
	other := natstest.Connect(t, s)
	heard, err := other.SubscribeSync("hello")
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Flush(); err != nil {
		t.Fatal(err)
	}
	const messages = 1000
	for range messages {
		if err := nc.Publish("hello", nil); err != nil {
			t.Fatal(err)
		}
	}
	Drain(nc)
	Drain(nc)
	if !nc.IsClosed() {
		t.Error("not closed")
	}
	for i := range messages {
		if _, err := heard.NextMsg(natstest.Patience); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}

	away := connect(t, s.ClientURL(), log)
	natstest.Stop(s)
	natstest.Await(t, "disconnect", func() bool { return !away.IsConnected() })
	began := time.Now()
	Drain(away)
	if took := time.Since(began); !away.IsClosed() || took > drainTime/2 {
		t.Errorf("closed: %v, after %v", away.IsClosed(), took)
	}
}
