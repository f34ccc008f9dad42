package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/siotest"
)

// Emits without a pause to a user whose only socket comes and goes: each
// finds it or does not, and knows.
func TestEmitsWhileTheLastSocketLeaves(t *testing.T) {
	t.Run("one box", func(t *testing.T) {
		server := start(t, "embedded")
		if longest := emitWhileLeaving(t, server.URL, server.URL); longest >= time.Second {
			t.Errorf("an emit took %v", longest)
		}
	})
	t.Run("beside other servers of a cluster", func(t *testing.T) {
		servers := natstest.Cluster(t, 2)
		gateway := start(t, "gateway", "--nats-url", servers[0].ClientURL())
		ingest := start(t, "ingest", "--nats-url", servers[1].ClientURL())
		emitWhileLeaving(t, gateway.URL, ingest.URL) // an emit waits for its second if the user is back at once
	})
}

func emitWhileLeaving(t *testing.T, gateway, ingest string) (longest time.Duration) {
	t.Helper()
	type emit struct {
		answer string
		took   time.Duration
	}
	stop, emits := make(chan struct{}), make(chan []emit, 2)
	for range cap(emits) {
		go func() {
			var all []emit
			defer func() { emits <- all }()
			for {
				select {
				case <-stop:
					return
				default:
				}
				began := time.Now()
				resp, err := http.PostForm(ingest+"/emit", url.Values{"id": {"42"}, "message": {"e"}})
				if err != nil {
					all = append(all, emit{answer: err.Error()})
					return
				}
				body, _ := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				all = append(all, emit{fmt.Sprint(resp.StatusCode, " ", string(body)), time.Since(began)})
			}
		}()
	}
	for range 300 {
		page := siotest.Dial(t, gateway, siotest.Options{})
		page.Register("42")
		page.Close()
	}
	close(stop)
	all := slices.Concat(<-emits, <-emits)
	answers := map[string]int{}
	for _, e := range all {
		answers[e.answer]++
		longest = max(longest, e.took)
	}
	t.Logf("%v, the longest took %v", answers, longest)
	if answers["200 OK"] == 0 || answers["200 ERROR"] == 0 || answers["200 OK"]+answers["200 ERROR"] != len(all) {
		t.Error("not as promised")
	}
	return longest
}
