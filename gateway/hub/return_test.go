package hub

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/daemon"
	"github.com/ramainen/doit-socket/internal/natstest"
)

// comeBack registers users on several gateways, stops NATS, calls away and starts NATS again. It returns how long after
// the start all subscriptions are back.
func comeBack(t *testing.T, gateways, users int, away func()) time.Duration {
	s := natstest.Start(t)
	p := daemon.NewProcess(daemon.Config{Node: "gw", LogLevel: "error"}, io.Discard)
	var last *bench
	for g := range gateways {
		nc, err := p.Connect(s.ClientURL(), fmt.Sprint("gateway ", g), func(err error) { t.Errorf("closed: %v", err) })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { daemon.Drain(nc) })
		last = &bench{t: t, server: s, hub: newHub(t, nc)}
		for i := range users / gateways {
			last.hub.Register(attach(&recorder{}), []string{fmt.Sprintf("user.%d-%d", g, i)}, func(error) {})
		}
		last.flush()
	}
	want := s.NumSubscriptions()
	last.lose()
	away()
	s = natstest.Restart(t, s)
	returned := time.Now()
	natstest.Await(t, "all subscriptions", func() bool { return s.NumSubscriptions() == want })
	return time.Since(returned)
}

// All subscriptions are back within 5 seconds after NATS is.
func TestAllSubscriptionsComeBack(t *testing.T) {
	t.Logf("10,000 subscriptions of 4 gateways are back after %v", comeBack(t, 4, 10000, func() {}))
}
