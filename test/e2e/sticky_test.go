package e2e

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/siotest"
)

// Two boxes behind a balancer without stickiness: a page on polling hears
// everything, and when the box of its session is killed, it hears of that at
// its next request to the other.
func TestBoxesWithoutStickiness(t *testing.T) {
	t.Setenv("DOIT_CLUSTER_SECRET", "a secret of enough characters")
	addresses := []string{siotest.FreeAddress(t), siotest.FreeAddress(t)}
	var boxes []*siotest.Program
	var targets []*url.URL
	for i := range 2 {
		box := start(t, "embedded", "--node", "box-"+strconv.Itoa(i), "--cluster-listen", addresses[i], "--cluster-routes", addresses[1-i])
		target, err := url.Parse(box.URL)
		if err != nil {
			t.Fatal(err)
		}
		boxes, targets = append(boxes, box), append(targets, target)
	}
	for _, box := range boxes {
		natstest.Await(t, "both boxes to be one", func() bool {
			ready := siotest.MustGet(t, box.Admin+"/readyz")
			return strings.Contains(ready, "box-0") && strings.Contains(ready, "box-1")
		})
	}
	var turn atomic.Uint64
	balancer := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(targets[turn.Add(1)%2]) },
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	})
	defer balancer.Close()

	for _, revision := range []int{2, 3, 4} {
		page := siotest.Dial(t, balancer.URL, siotest.Options{EIO: revision, Polling: true})
		id := strconv.Itoa(revision)
		page.Register(id)
		for i := range 1000 {
			siotest.MustPost(t, boxes[i%2].URL, id, "n", strconv.Itoa(i))
		}
		for i := range 1000 {
			page.Expect("n", float64(i))
		}
		page.Close()
	}
	if !strings.Contains(siotest.MustGet(t, boxes[0].Admin+"/metrics"), `doit_gateway_passed_total{kind="poll",result="passed"}`) ||
		strings.Contains(siotest.MustGet(t, boxes[0].Admin+"/metrics"), `doit_gateway_passed_total{kind="poll",result="passed"} 0`) {
		t.Error("nothing was passed on")
	}

	var open struct{ SID string }
	hello := siotest.MustGet(t, boxes[0].URL+"/socket.io/?EIO=4&transport=polling")
	if err := json.Unmarshal([]byte(hello[1:]), &open); err != nil {
		t.Fatalf("%q: %v", hello, err)
	}
	ask := func() (int, string) {
		resp, err := http.Post(boxes[1].URL+"/socket.io/?EIO=4&transport=polling&sid="+open.SID, "text/plain", strings.NewReader("40"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	if status, body := ask(); status != http.StatusOK || body != "ok" {
		t.Errorf("%d %s", status, body)
	}
	boxes[0].Signal(syscall.SIGKILL)
	<-boxes[0].Ended()
	natstest.Await(t, "Session ID unknown", func() bool {
		status, body := ask()
		return status == http.StatusBadRequest && strings.Contains(body, "Session ID unknown")
	})
}
