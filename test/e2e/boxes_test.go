package e2e

import (
	"strings"
	"syscall"
	"testing"

	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/siotest"
)

// Two embedded boxes are one: PHP emits to either, pages are on either, and
// either may die and come back.
func TestTwoBoxes(t *testing.T) {
	t.Setenv("DOIT_CLUSTER_SECRET", "a secret of enough characters")
	addresses := []string{siotest.FreeAddress(t), siotest.FreeAddress(t)}
	boot := func(i int) *siotest.Program {
		return start(t, "embedded", "--node", "box-"+string(rune('a'+i)), "--cluster-listen", addresses[i], "--cluster-routes", addresses[1-i])
	}
	joined := func(boxes ...*siotest.Program) {
		t.Helper()
		for _, b := range boxes {
			natstest.Await(t, "both boxes to be one", func() bool {
				ready := siotest.MustGet(t, b.Admin+"/readyz")
				return strings.Contains(ready, "box-a") && strings.Contains(ready, "box-b")
			})
		}
	}
	a, b := boot(0), boot(1)
	joined(a, b)
	check := func(pages map[string]*siotest.Client, boxes ...*siotest.Program) {
		t.Helper()
		for _, box := range boxes {
			for id, page := range pages {
				siotest.MustPost(t, box.URL, id, "hello", `1`)
				if got := page.Next(); got.Name != "hello" {
					t.Fatalf("%s heard %v", id, got)
				}
			}
			if status, body := siotest.Post(t, box.URL, []string{"nobody"}, "hello", `1`); status != 200 || body != "ERROR" {
				t.Errorf("nobody: %d %s", status, body)
			}
		}
	}
	onA, onB := siotest.Dial(t, a.URL, siotest.Options{}), siotest.Dial(t, b.URL, siotest.Options{EIO: 3, Polling: true})
	onA.Register("on a")
	onB.Register("on b")
	check(map[string]*siotest.Client{"on a": onA, "on b": onB}, a, b)

	a.Signal(syscall.SIGKILL)
	<-a.Ended()
	check(map[string]*siotest.Client{"on b": onB}, b)
	if status, body := siotest.Post(t, b.URL, []string{"on a"}, "hello", `1`); body != "ERROR" {
		t.Errorf("a user of the box that died: %d %s", status, body)
	}

	a = boot(0)
	joined(a, b)
	again := siotest.Dial(t, a.URL, siotest.Options{})
	again.Register("on a")
	check(map[string]*siotest.Client{"on a": again, "on b": onB}, a, b)
}
