package e2e

import (
	"testing"

	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/siotest"
)

// Ingest and gateways as programs of their own, beside a nats-server.
func TestThreePrograms(t *testing.T) {
	bus := natstest.Start(t)
	first := start(t, "gateway", "--nats-url", bus.ClientURL(), "--node", "gw-1")
	second := start(t, "gateway", "--nats-url", bus.ClientURL(), "--node", "gw-2")
	ingest := start(t, "ingest", "--nats-url", bus.ClientURL())

	tab := siotest.Dial(t, first.URL, siotest.Options{})
	tab.Register("42")
	other := siotest.Dial(t, second.URL, siotest.Options{EIO: 3, Polling: true})
	other.Register([]any{42, "43"})

	siotest.MustPost(t, ingest.URL, "42", "alert", `{"n":1}`)
	tab.Expect("alert", map[string]any{"n": 1.})
	other.Expect("alert", map[string]any{"n": 1.})
	siotest.MustPost(t, ingest.URL, "43", "more", `1`)
	other.Expect("more", 1.)
	if status, body := siotest.Post(t, ingest.URL, []string{"44"}, "alert", `1`); status != 200 || body != "ERROR" {
		t.Errorf("nobody: %d %s", status, body)
	}
	// Two sockets, and three ids: 42 on both nodes, 43 on one.
	if got := siotest.MustGet(t, ingest.URL+"/stat/all"); got != "5" {
		t.Errorf("/stat/all is %s, want 5", got)
	}
	if got := siotest.MustGet(t, first.URL+"/"); len(got) < 100 {
		t.Errorf("the gateway's page is %q", got)
	}
}
