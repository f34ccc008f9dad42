package natsd

import (
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/siotest"
)

// nats-server's errors and warnings are logged; its notices are not.
func TestLog(t *testing.T) {
	out := &siotest.Output{}
	l := newLogger(slog.New(slog.NewTextHandler(out, nil)))
	l.Noticef("chatter %d", 1)
	l.Debugf("chatter")
	l.Tracef("chatter")
	l.Warnf("warned %d", 2)
	l.Errorf("erred %d", 3)
	l.Fatalf("died %d", 4)
	text := out.String()
	for i, want := range []string{"level=WARN msg=nats-server text=\"warned 2\"", "level=ERROR msg=nats-server text=\"erred 3\"", "level=ERROR msg=nats-server text=\"died 4\""} {
		if !strings.Contains(text, want) {
			t.Errorf("%d: %q is not in %s", i, want, text)
		}
	}
	if strings.Contains(text, "chatter") {
		t.Errorf("chatter in %s", text)
	}
}

// Two thousand failed connections are logged as one line at once and one line a minute later with
// their number. Another error of a route is logged separately.
func TestLogFolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out, debug siotest.Output
		l := newLogger(slog.New(slog.NewTextHandler(&out, nil)))
		verbose := newLogger(slog.New(slog.NewTextHandler(&debug, &slog.HandlerOptions{Level: slog.LevelDebug})))
		for i := range 2000 {
			for _, l := range []*logger{l, verbose} {
				// As client.Errorf of nats-server calls it: the connection is in the format.
				l.Errorf(fmt.Sprintf("10.0.0.9:%d - rid:%d - ", i, i)+"TLS %s handshake error: %v%s", "route", "EOF", "")
			}
		}
		l.Errorf(dialError+" (attempt %v): %v", 1, "dial tcp 10.0.0.2:6222")
		l.Errorf(dialError+" (attempt %v): %v", 1, "dial tcp 10.0.0.3:6222")
		l.Errorf(dialError+" (attempt %v): %v", 2, "dial tcp 10.0.0.3:6222")
		want := func(lines int, texts ...string) {
			t.Helper()
			if n := strings.Count(out.String(), "\n"); n != lines {
				t.Errorf("%d lines, want %d: %s", n, lines, out.String())
			}
			for _, text := range texts {
				if !strings.Contains(out.String(), text) {
					t.Errorf("%q is not in %s", text, out.String())
				}
			}
		}
		want(3, "rid:0 - TLS route", "10.0.0.2:6222", "10.0.0.3:6222")
		if n := strings.Count(debug.String(), "level=DEBUG"); n != 1999 {
			t.Errorf("%d lines at level debug, want 1999", n)
		}
		wait := func(seconds int) {
			for range seconds {
				time.Sleep(time.Second) // of the bubble's clock
				l.flush()
			}
		}
		wait(59)
		want(3)
		wait(1)
		want(5, `rid:1999 - TLS route handshake error: EOF" repeated=1999`, `(attempt 2): dial tcp 10.0.0.3:6222" repeated=1`)
		wait(60)
		want(5)
		if len(l.kinds) != 0 {
			t.Errorf("%d kinds are remembered after a quiet minute", len(l.kinds))
		}
		l.Errorf("10.0.0.9:1 - rid:1 - TLS %s handshake error: %v%s", "route", "EOF", "")
		want(6)
		if last := l.lastRouteError(); last != "TLS route handshake error: EOF" {
			t.Errorf("%q", last)
		}
	})
}

// Strangers at the cluster port of a real server cause one line of each kind, however many they are.
func TestStrangersAtTheClusterPort(t *testing.T) {
	var out siotest.Output
	s, err := Start("a", 1<<20, ClusterConfig{ClusterListen: "127.0.0.1:0", ClusterSecret: secret}, slog.New(slog.NewTextHandler(&out, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown()
	const each = 100
	for i := range 3 * each {
		conn, err := net.Dial("tcp", s.server.ClusterAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		switch i % 3 {
		case 1:
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\n\r\n")
		case 2:
			client := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}) //nolint:gosec // a stranger
			_ = client.Handshake()
		}
		_ = conn.Close()
	}
	natstest.Await(t, "the errors of all of them", func() bool {
		s.log.mu.Lock()
		defer s.log.mu.Unlock()
		errors := 0
		for _, k := range s.log.kinds {
			errors += 1 + k.suppressed
		}
		return errors >= 3*each
	})
	if lines := strings.Count(out.String(), "\n"); lines > 3 {
		t.Errorf("%d lines: %s", lines, out.String())
	}
}

// A spy is a logger that reports the level at which nats-server logs its second attempt to connect
// to a box.
type spy struct {
	*logger
	attempts chan string
}

func (s spy) Debugf(format string, v ...any) { s.see("debug", format, v) }
func (s spy) Errorf(format string, v ...any) { s.see("error", format, v) }

func (s spy) see(level, format string, v []any) {
	if strings.Contains(fmt.Sprintf(format, v...), dialError+" (attempt 2)") {
		select {
		case s.attempts <- level:
		default:
		}
	}
}

// nats-server logs one error about a box that went away, not one a second.
func TestABoxThatWentAway(t *testing.T) {
	a, address := box(t, "a", secret)
	b, _ := box(t, "b", secret, address)
	wantPeers(t, b, "a")
	s := spy{b.log, make(chan string, 1)}
	b.server.SetLoggerV2(s, true, false, false)
	a.Shutdown()
	select {
	case level := <-s.attempts:
		if level != "debug" {
			t.Errorf("the second attempt is logged at level %s", level)
		}
	case <-time.After(natstest.Patience):
		t.Fatal("there is no second attempt")
	}
}

var _ server.Logger = (*logger)(nil)
