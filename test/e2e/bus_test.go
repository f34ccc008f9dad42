package e2e

import (
	"errors"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/siotest"
)

// The bus goes and comes back. Meanwhile sockets stay, no emit is OK, and who
// registers waits; afterwards all is as before, and who may have missed
// something hears of it once.
func TestTheBusGoesAndComesBack(t *testing.T) {
	bus := natstest.Start(t)
	gateway := start(t, "gateway", "--nats-url", bus.ClientURL(), "--gap-event", "missed")
	ingest := start(t, "ingest", "--nats-url", bus.ClientURL())
	var before []*siotest.Client
	for _, o := range []siotest.Options{{}, {EIO: 3}, {Polling: true}, {EIO: 3, Polling: true}} {
		page := siotest.Dial(t, gateway.URL, o)
		page.Register([]string{"42", "43"})
		before = append(before, page)
	}
	siotest.MustPost(t, ingest.URL, "42", "alert", "1")
	for _, page := range before {
		page.Next()
	}

	natstest.Stop(bus)
	stopped := time.Now()
	emit := func(id string) (post, get int) {
		post, body := siotest.Post(t, ingest.URL, []string{id}, "alert", "2")
		resp, err := http.Get(ingest.URL + "/emit?message=alert&id=" + id)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if post != 200 && body != "ERROR" {
			t.Errorf("%d %s", post, body)
		}
		return post, resp.StatusCode
	}
	for _, id := range []string{"42", "nobody"} {
		if post, get := emit(id); post != 503 || get != 503 {
			t.Errorf("%s: POST %d, GET %d", id, post, get)
		}
	}
	t.Logf("four emits are refused after %v", time.Since(stopped))
	late := siotest.Dial(t, gateway.URL, siotest.Options{})
	registered := make(chan map[string]any, 1)
	go func() { registered <- late.Call("register", map[string]any{"userid": "42"}) }()
	for _, page := range before {
		page.Send(`42["not for the server"]`)
	}

	again := natstest.Restart(t, bus)
	if answer := <-registered; answer["ok"] != true {
		t.Fatalf("registered: %v", answer)
	}
	natstest.Await(t, "ingest", func() bool { return again.NumClients() == 2 })
	siotest.MustPost(t, ingest.URL, "42", "fence", "1")
	if heard := late.Until("fence"); len(heard) > 0 {
		t.Errorf("the late page heard %v", heard)
	}
	for _, page := range before {
		missed := page.Next()
		for missed.Name == "fence" { // whatever comes first
			missed = page.Next()
		}
		gap, _ := missed.Args[0].(map[string]any)
		since, _ := gap["since"].(float64)
		if missed.Name != "missed" || gap["reason"] != "bus" || since > float64(time.Now().UnixMilli()) || since < float64(stopped.Add(-40*time.Second).UnixMilli()) {
			t.Errorf("heard %v", missed)
		}
		siotest.MustPost(t, ingest.URL, "43", "end", "1")
		for _, e := range page.Until("end") {
			if e.Name != "fence" {
				t.Errorf("heard %v", e)
			}
		}
	}
}

// A bus that takes a program no more, for good, ends it, so that whoever
// started it sees that.
func TestRefusedForGoodEndsTheProgram(t *testing.T) {
	for _, name := range []string{"gateway", "ingest"} {
		t.Run(name, func(t *testing.T) {
			bus := natstest.Start(t)
			p := start(t, name, "--nats-url", bus.ClientURL())
			natstest.Stop(bus)
			natstest.Restart(t, bus, func(o *server.Options) { o.Username, o.Password = "name", "secret" })
			select {
			case <-p.Ended():
				err := p.Err()
				var exit *exec.ExitError
				if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(p.Log(), "closed for good") {
					t.Errorf("ended with %v\n%s", err, p.Log())
				}
			case <-time.After(2 * natstest.Patience):
				t.Error("goes on")
			}
		})
	}
}
