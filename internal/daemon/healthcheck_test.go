package daemon

import (
	"errors"
	"io"
	"net"
	"testing"

	"github.com/ramainen/doit-socket/internal/listen"
	"github.com/ramainen/doit-socket/internal/router"
)

// --healthcheck is answered by the program that runs, whether it is ready or not.
func TestHealthcheck(t *testing.T) {
	p := newProcess()
	p.Health.Check("nats", func() error { return errors.New("away") })
	running := newServer(t, p.Admin)
	_, port, err := net.SplitHostPort(running.Addr())
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{running.Addr(), ":" + port, "0.0.0.0:" + port} {
		t.Setenv("DOIT_ADMIN_LISTEN", address)
		if _, err := parse(t, "--healthcheck"); !errors.Is(err, ErrDone) {
			t.Errorf("%s: %v", address, err)
		}
	}
	// Without a private listener the public one is asked.
	t.Setenv("DOIT_ADMIN_LISTEN", "")
	if _, err := parse(t, "--healthcheck", "--listen", newServer(t, p.NewRouter()).Addr()); !errors.Is(err, ErrDone) {
		t.Errorf("by the public listener: %v", err)
	}
}

// It does not ask for what only the running program needs.
func TestHealthcheckNeedsNoOtherFlag(t *testing.T) {
	var cfg struct {
		Program   `embed:""`
		BusConfig `embed:""`
	}
	args := []string{"--healthcheck", "--admin-listen", newServer(t, newProcess().Admin).Addr(), "--listen", "0.0.0.0:1"}
	if err := Parse(&cfg, "test", "", Defaults{}, args, io.Discard); !errors.Is(err, ErrDone) {
		t.Error(err)
	}
	_, err := parse(t, "--healthcheck", "--admin-listen", "1336")
	says(t, err, "--admin-listen", "HOST:PORT")
}

// If no program answers, or another one does, the exit code is 1.
func TestHealthcheckFails(t *testing.T) {
	gone := newServer(t, router.New())
	gone.Shutdown()
	stranger := newServer(t, router.New())
	for name, s := range map[string]*listen.Server{"no program answers": gone, "another program": stranger} {
		t.Setenv("DOIT_ADMIN_LISTEN", s.Addr())
		_, err := parse(t, "--healthcheck")
		if code := exitCode(io.Discard, "test", err); code != exitFailed {
			t.Errorf("%s: exit code %d, %v", name, code, err)
		}
		told(t, err, name, "--admin-listen", s.Addr())
	}
}
