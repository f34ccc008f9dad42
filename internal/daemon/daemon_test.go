package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/ramainen/doit-socket/internal/listen"
	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/router"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A Program has one public listener, as gateway and ingest have.
type Program struct {
	Config `embed:""`
}

// Validate implements what kong calls.
func (p Program) Validate() error { return p.Allow("--listen", p.Listen, MayRegister) }

func parse(t *testing.T, args ...string) (Config, error) {
	t.Helper()
	var cfg Program
	err := Parse(&cfg, "test", "", Defaults{Listen: "127.0.0.1:1", AdminListen: "127.0.0.1:2"}, args, io.Discard)
	return cfg.Config, err
}

func TestAFlagWinsOverItsVariable(t *testing.T) {
	t.Setenv("DOIT_LISTEN", "127.0.0.1:10")
	t.Setenv("DOIT_NODE", "from-env")
	cfg, err := parse(t, "--listen", "127.0.0.1:11")
	if err != nil || cfg.Listen != "127.0.0.1:11" || cfg.Node != "from-env" || cfg.AdminListen != "127.0.0.1:2" {
		t.Errorf("%+v, %v", cfg, err)
	}
}

func TestExitCodes(t *testing.T) {
	_, usage := parse(t, "--nonsense")
	for want, err := range map[int]error{exitOK: nil, exitFailed: io.EOF, exitUsage: usage} {
		if got := exitCode(io.Discard, "test", err); got != want {
			t.Errorf("%v: %d, want %d", err, got, want)
		}
	}
	if _, err := parse(t, "--help"); !errors.Is(err, ErrDone) {
		t.Errorf("--help: %v", err)
	}
}

// Reasons are for the private listener only.
func TestReadiness(t *testing.T) {
	h := NewHealth()
	h.Check("nats", func() error { return errors.New("secret.host is away") })
	public := router.New()
	h.Mount(public)
	for name, c := range map[string]struct {
		handler http.Handler
		body    string
	}{"public": {public, "not ready\n"}, "private": {newAdmin(h, prometheus.NewRegistry(), nil), "not ready\nnats: secret.host is away\n"}} {
		s, err := listen.Bind("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s.Serve(c.handler, slog.Default(), func(err error) { t.Error(err) })
		if status, body := get(t, s.URL()+"/readyz"); status != 503 || body != c.body {
			t.Errorf("%s: %d %q", name, status, body)
		}
		if status, _ := get(t, s.URL()+"/healthz"); status != 200 {
			t.Errorf("%s: /healthz %d", name, status)
		}
		s.Shutdown()
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// fail is called for a connection that NATS refuses for good, and not for one that is drained.
func TestAConnectionClosedForGoodIsTold(t *testing.T) {
	var log bytes.Buffer
	s := natstest.Start(t)
	failed := make(chan error, 1)
	p := logged(&log)
	nc, err := p.Connect(s.ClientURL(), "test", func(err error) { failed <- err })
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Connected(nc)(); err != nil {
		t.Error(err)
	}
	// A subject beyond the server's line length is a protocol error: it closes the connection.
	if _, err := nc.SubscribeSync(strings.Repeat("x", 5000)); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-failed:
		if !errors.Is(err, nc.LastError()) {
			t.Errorf("the reason is %v", err)
		}
	case <-time.After(natstest.Patience):
		t.Fatal("not told")
	}

	p = logged(&log)
	drained, err := p.Connect(s.ClientURL(), "test", func(err error) { failed <- err })
	if err != nil {
		t.Fatal(err)
	}
	Drain(drained)
	if !drained.IsClosed() || len(failed) > 0 {
		t.Error("a drained connection failed, or is not closed")
	}
	natstest.Await(t, "the word that it is not connected", func() bool { return fmt.Sprint(p.Connected(drained)()) == "not connected" })
}
