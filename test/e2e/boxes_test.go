package e2e

import (
	"strconv"
	"strings"
	"sync"
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

// A box comes and goes under load, killed or told to: whichever way an emit
// takes, all tabs hear all of them in one order, and every answer is right.
func TestABoxComesAndGoesUnderLoad(t *testing.T) {
	t.Setenv("DOIT_CLUSTER_SECRET", "a secret of enough characters")
	addresses := []string{siotest.FreeAddress(t), siotest.FreeAddress(t)}
	boot := func(i int) *siotest.Program {
		return start(t, "embedded", "--drain", "100ms", "--node", "box-"+string(rune('a'+i)), "--cluster-listen", addresses[i], "--cluster-routes", addresses[1-i])
	}
	a := boot(0)
	tabs := []*siotest.Client{siotest.Dial(t, a.URL, siotest.Options{}), siotest.Dial(t, a.URL, siotest.Options{EIO: 3, Polling: true})}
	var all sync.WaitGroup
	for _, tab := range tabs {
		tab.Register("u")
		all.Go(func() {
			for want := 0.; ; want++ {
				switch e := tab.Next(); {
				case e.Name == "end":
					return
				case e.Name != "e" || e.Args[0] != want:
					t.Errorf("heard %v, want %v", e, want)
					return
				}
			}
		})
	}
	stop := make(chan struct{})
	all.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				siotest.MustPost(t, a.URL, "u", "end", "1")
				return
			default:
			}
			if status, body := siotest.Post(t, a.URL, []string{"u"}, "e", strconv.Itoa(n)); body != "OK" {
				t.Errorf("emit %d: %d %s", n, status, body)
			}
			if status, body := siotest.Post(t, a.URL, []string{"nobody"}, "e", "1"); status != 200 || body != "ERROR" {
				t.Errorf("to nobody: %d %s", status, body)
			}
		}
	})
	for _, end := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		b := boot(1)
		onB := siotest.Dial(t, b.URL, siotest.Options{})
		onB.Register("u")
		if e := onB.Next(); e.Name != "e" {
			t.Errorf("the other box heard %v", e)
		}
		b.Signal(end)
		<-b.Ended()
	}
	close(stop)
	all.Wait()
}
