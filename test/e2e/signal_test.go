package e2e

import (
	"errors"
	"fmt"
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
	// With --drain 1h one is closed every 3.6 seconds.
	var pages []*siotest.Client
	for i := range 20 {
		page := siotest.Dial(t, p.URL, siotest.Options{Polling: i%2 == 0})
		page.Register(fmt.Sprint("page", i))
		pages = append(pages, page)
	}

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
	heard := map[bool]int{} // by websockets, by polls
	for i, page := range pages {
		if _, answer := siotest.Post(t, p.URL, []string{fmt.Sprint("page", i)}, "hello", `1`); answer != "OK" {
			continue // it is closed
		}
		if got := page.Next(); got.Name != "hello" {
			t.Errorf("page %d heard %v", i, got)
		}
		heard[i%2 == 0]++
	}
	if heard[false] == 0 || heard[true] == 0 {
		t.Errorf("%d websockets and %d polls are left", heard[false], heard[true])
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
