package natsd

import (
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ramainen/doit-socket/internal/siotest"
)

// A box with routes logs once that it is alone, and once that it has joined. Its state is right at
// each moment.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said siotest.Output
		var joined atomic.Bool
		l := newLogger(slog.New(slog.NewTextHandler(&said, nil)))
		w := newWatch([]string{"10.0.0.2:6222", "10.0.0.3:6222"}, func() bool { return !joined.Load() }, l)
		after := func(seconds int) {
			for range seconds {
				time.Sleep(time.Second) // of the bubble's clock
				w.check()
			}
		}
		want := func(warnings, joins int, warned bool, state string) {
			t.Helper()
			log := said.String()
			if n := strings.Count(log, "joined with no other box"); n != warnings {
				t.Errorf("%d warnings, want %d: %s", n, warnings, log)
			}
			if n := strings.Count(log, "joined with its cluster now"); n != joins {
				t.Errorf("%d joins, want %d: %s", n, joins, log)
			}
			if w.warned() != warned {
				t.Errorf("warned: %v, want %v", w.warned(), warned)
			}
			if got := w.state(); state != "" && got != state {
				t.Errorf("%q, want %q", got, state)
			}
		}
		const none = "joined with none of 10.0.0.2:6222, 10.0.0.3:6222"
		after(9)
		want(0, 0, false, none)
		l.Errorf("Error trying to connect to route (attempt %v): %v", 1, "connection refused")
		after(100)
		want(1, 0, true, none+" for more than 10s: Error trying to connect to route (attempt 1): connection refused")
		for _, part := range []string{"level=WARN", "10.0.0.2:6222,10.0.0.3:6222", "connection refused", "firewall", "--cluster-secret", "version"} {
			if !strings.Contains(said.String(), part) {
				t.Errorf("%q is not in %s", part, said.String())
			}
		}
		joined.Store(true)
		after(100)
		want(1, 1, false, "")
		joined.Store(false)
		after(10)
		want(1, 1, false, none)
		after(2)
		want(2, 1, true, "")
		joined.Store(true)
		after(1)
		want(2, 2, false, "")
		joined.Store(false) // a short time alone causes no warning
		after(5)
		joined.Store(true)
		after(1)
		joined.Store(false)
		after(8)
		want(2, 2, false, none)
	})
}

// A box without routes never warns that it is alone.
func TestWatchWithoutRoutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said siotest.Output
		w := newWatch(nil, func() bool { return true }, newLogger(slog.New(slog.NewTextHandler(&said, nil))))
		for range 60 {
			time.Sleep(time.Second)
			w.check()
		}
		if w.warned() || said.String() != "" {
			t.Errorf("warned: %v, log: %s", w.warned(), said.String())
		}
	})
}
