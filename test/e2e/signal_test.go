package e2e

import (
	"errors"
	"net/http"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/siotest"
)

// After a first SIGTERM balancers and new browsers are sent away, while the
// sockets that are left hear on. A second one ends the process at once.
func TestSignals(t *testing.T) {
	p := start(t, "embedded", "--drain", "1h")
	page, poller := siotest.Dial(t, p.URL, siotest.Options{}), siotest.Dial(t, p.URL, siotest.Options{Polling: true})
	page.Register("42")
	poller.Register("43")

	status := func(path string) int {
		resp, err := http.Get(p.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	p.Signal(syscall.SIGTERM)
	natstest.Await(t, "new sessions to be refused", func() bool { return status("/socket.io/?EIO=4&transport=polling") != http.StatusOK })
	if got := status("/readyz"); got != http.StatusServiceUnavailable {
		t.Errorf("/readyz: %d", got)
	}
	if got := status("/healthz"); got != http.StatusOK {
		t.Errorf("/healthz: %d", got)
	}
	for id, c := range map[string]*siotest.Client{"42": page, "43": poller} {
		siotest.MustPost(t, p.URL, id, "hello", `1`)
		if got := c.Next(); got.Name != "hello" {
			t.Errorf("%s heard %v", id, got)
		}
	}

	p.Signal(syscall.SIGTERM)
	select {
	case <-p.Ended():
		err := p.Err()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(siotest.Patience):
		t.Fatal("a second signal does not end it")
	}
}
