package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/siotest"
)

// Emits without a pause to a user whose only socket comes and goes: each
// finds it or does not, and knows soon.
func TestEmitsWhileTheLastSocketLeaves(t *testing.T) {
	server := start(t, "embedded")
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
				resp, err := http.PostForm(server.URL+"/emit", url.Values{"id": {"42"}, "message": {"e"}})
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
		page := siotest.Dial(t, server.URL, siotest.Options{})
		page.Register("42")
		page.Close()
	}
	close(stop)
	all := slices.Concat(<-emits, <-emits)
	answers := map[string]int{}
	var longest time.Duration
	for _, e := range all {
		answers[e.answer]++
		longest = max(longest, e.took)
	}
	t.Logf("%v, the longest took %v", answers, longest)
	if answers["200 OK"] == 0 || answers["200 ERROR"] == 0 || answers["200 OK"]+answers["200 ERROR"] != len(all) || longest >= time.Second {
		t.Error("not as promised")
	}
}
