package daemon

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"slices"
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

func logged(log io.Writer) *Process {
	return NewProcess(Config{Node: "test", LogLevel: "debug"}, log)
}

func connect(t *testing.T, url string, log io.Writer) *nats.Conn {
	t.Helper()
	nc, err := logged(log).Connect(url, "role", func(err error) { t.Errorf("failed: %v", err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Drain(nc) })
	return nc
}

// A program may start before NATS. Until NATS is reachable a publish fails at
// once and is not sent later. Then the connection works by itself.
func TestTheBusMayComeLater(t *testing.T) {
	log := &lockedBuffer{}
	s := natstest.Start(t)
	natstest.Stop(s)
	nc := connect(t, strings.Replace(s.ClientURL(), "nats://", "nats://name:secret-word@", 1), log)
	if nc.IsConnected() {
		t.Error("connected to nothing")
	}
	natstest.Await(t, "the log to say so", func() bool {
		return strings.Contains(log.String(), "NATS cannot be reached") && strings.Contains(log.String(), "--nats-url")
	})
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
		natstest.Await(t, "connection", func() bool { return nc.IsConnected() })
		if err := nc.Publish("hello", []byte("hi")); err != nil {
			t.Fatal(err)
		}
		if m, err := heard.NextMsg(natstest.Patience); err != nil || string(m.Data) != "hi" {
			t.Errorf("heard %v, %v", m, err)
		}
		natstest.Stop(again)
		natstest.Await(t, "disconnect", func() bool { return !nc.IsConnected() })
	}
	if text := log.String(); strings.Contains(text, "secret-word") || !strings.Contains(text, "nats reconnected") {
		t.Errorf("logged %q", text)
	}
}

// A refusal of the server ends the program.
func TestRefusedIsTold(t *testing.T) {
	s := natstest.Start(t, func(o *server.Options) { o.Username, o.Password = "name", "right" })
	failed := make(chan error, 1)
	nc, err := logged(io.Discard).Connect(strings.Replace(s.ClientURL(), "nats://", "nats://name:wrong@", 1), "test", func(err error) { failed <- err })
	if err != nil {
		if !errors.Is(err, nats.ErrAuthorization) || strings.Contains(err.Error(), "wrong") {
			t.Errorf("refused with %v", err)
		}
		return
	}
	defer nc.Close()
	select {
	case err := <-failed:
		if !errors.Is(err, nats.ErrAuthorization) || !strings.Contains(err.Error(), "--nats-user") {
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
	nc := connect(t, s.ClientURL(), io.Discard)
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

	away := connect(t, s.ClientURL(), io.Discard)
	natstest.Stop(s)
	natstest.Await(t, "disconnect", func() bool { return !away.IsConnected() })
	began := time.Now()
	Drain(away)
	if took := time.Since(began); !away.IsClosed() || took > drainTimeout/2 {
		t.Errorf("closed: %v, after %v", away.IsClosed(), took)
	}
}

// metric reads one series; labels are "name=value".
func metric(t *testing.T, p *Process, name string, labels ...string) float64 {
	t.Helper()
	families, err := p.Metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			var got []string
			for _, l := range m.GetLabel() {
				got = append(got, l.GetName()+"="+l.GetValue())
			}
			if family.GetName() == name && slices.Equal(got, labels) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	t.Fatalf("no %s %q", name, labels)
	return 0
}

// The metrics show that NATS was away and what it refused. The log names no user.
func TestBusMetrics(t *testing.T) {
	log := &lockedBuffer{}
	s := natstest.Start(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "gw", Password: "pw", Permissions: &server.Permissions{Subscribe: &server.SubjectPermission{Deny: []string{"user.*"}}}}}
	})
	p := logged(log)
	url := strings.Replace(s.ClientURL(), "nats://", "nats://gw:pw@", 1)
	nc, err := p.Connect(url, "gateway", func(err error) { t.Errorf("failed: %v", err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Drain(nc) })
	other, err := p.Connect(url, "ingest", func(err error) { t.Errorf("failed: %v", err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Drain(other) })

	for _, kind := range []string{"permissions", "subscriptions", "slow consumer", "other"} {
		if n := metric(t, p, "doit_nats_errors_total", "connection=gateway", "kind="+kind); n != 0 {
			t.Errorf("%s: %v", kind, n)
		}
	}
	if _, err := nc.SubscribeSync("user.secret-id"); err != nil {
		t.Fatal(err)
	}
	natstest.Await(t, "refusal", func() bool {
		return metric(t, p, "doit_nats_errors_total", "connection=gateway", "kind=permissions") == 1
	})
	if text := log.String(); strings.Contains(text, "secret-id") || !strings.Contains(text, `user.…`) {
		t.Errorf("logged %s", text)
	}
	if n := metric(t, p, "doit_nats_connected", "connection=gateway"); n != 1 {
		t.Errorf("connected: %v", n)
	}
	natstest.Stop(s)
	natstest.Await(t, "disconnect", func() bool { return metric(t, p, "doit_nats_connected", "connection=gateway") == 0 })
	natstest.Restart(t, s, func(o *server.Options) { o.Users = []*server.User{{Username: "gw", Password: "pw"}} })
	natstest.Await(t, "reconnect", func() bool { return metric(t, p, "doit_nats_reconnects_total", "connection=gateway") == 1 })
	if n := metric(t, p, "doit_nats_errors_total", "connection=ingest", "kind=permissions"); n != 0 {
		t.Errorf("the other connection has %v errors", n)
	}
}

// If NATS hangs and accepts no bytes, publishes soon fail as if it were away.
// When it goes on, all subscriptions are restored.
func TestTheBusStandsStill(t *testing.T) {
	s := natstest.Start(t, natstest.MaxPayload(2<<20))
	proxy := natstest.StartProxy(t, s)
	p := logged(io.Discard)
	nc, err := p.Connect(proxy.URL(), "gateway", func(err error) { t.Errorf("failed: %v", err) }, nats.IgnoreDiscoveredServers())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Drain(nc) })
	proxy.Freeze(true, true)
	refused := make(chan error, 1)
	go func() {
		for {
			if err := nc.Publish("hello", make([]byte, 1<<20)); err != nil {
				refused <- err
				return
			}
		}
	}()
	select {
	case <-refused:
	case <-time.After(natstest.Patience):
		t.Error("publish waits")
	}
	heard, err := nc.SubscribeSync("hello")
	if err != nil {
		t.Fatal(err)
	}
	proxy.Freeze(false, false)
	natstest.Await(t, "another connection", func() bool {
		return nc.IsConnected() && metric(t, p, "doit_nats_reconnects_total", "connection=gateway") > 0
	})
	if err := nc.Publish("hello", []byte("hi")); err != nil {
		t.Fatal(err)
	}
	if m, err := heard.NextMsg(natstest.Patience); err != nil || string(m.Data) != "hi" {
		t.Errorf("heard %v, %v", m, err)
	}
}

// A failed write ends the connection, so the client cannot go on without those bytes.
func TestAFailedWriteEndsTheConnection(t *testing.T) {
	s := natstest.Start(t)
	c, err := dialer{}.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.SetWriteDeadline(time.Unix(1, 0)), c.SetReadDeadline(time.Now().Add(natstest.Patience))); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Write([]byte("PING\r\n")); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("wrote %d, %v", n, err)
	}
	if _, err := io.Copy(io.Discard, c); !errors.Is(err, net.ErrClosed) {
		t.Errorf("reading goes on: %v", err)
	}
}
