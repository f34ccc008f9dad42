package e2e

import (
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

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

// Two boxes on machines of one name, with one list of routes and nothing else
// given, are one cluster and are never taken for one box.
func TestBoxesWithOneName(t *testing.T) {
	t.Setenv("DOIT_CLUSTER_SECRET", "a secret of enough characters")
	addresses := []string{siotest.FreeAddress(t), siotest.FreeAddress(t)}
	t.Setenv("DOIT_CLUSTER_ROUTES", strings.Join(addresses, ","))
	boxes := make([]*siotest.Program, len(addresses))
	for i, address := range addresses {
		// Where the test may open few files, more sockets would be a warning.
		boxes[i] = start(t, "embedded", "--max-sockets", "100", "--cluster-listen", address)
	}
	both := regexp.MustCompile(`cluster +(\S+)#(\S+), (\S+)#(\S+) at 127\.0\.0\.1\n`)
	for _, box := range boxes {
		natstest.Await(t, "the boxes to join", func() bool {
			m := both.FindStringSubmatch(siotest.MustGet(t, box.Admin+"/readyz"))
			return m != nil && m[1] == m[3] && m[2] != m[4]
		})
	}
	pages := make([]*siotest.Client, len(boxes))
	for i, box := range boxes {
		pages[i] = siotest.Dial(t, box.URL, siotest.Options{})
		pages[i].Register([]string{"everybody", strconv.Itoa(i)})
	}
	for i, box := range boxes {
		siotest.MustPost(t, box.URL, strconv.Itoa(1-i), "from the other", "1")
		if got := pages[1-i].Next(); got.Name != "from the other" {
			t.Errorf("heard %v", got)
		}
	}
	siotest.MustPost(t, boxes[0].URL, "everybody", "to all", "1")
	for _, page := range pages {
		if got := page.Next(); got.Name != "to all" {
			t.Errorf("heard %v", got)
		}
	}
	for _, box := range boxes {
		if stat := siotest.MustGet(t, box.URL+"/stat/all"); stat != "6" { // two sockets, and two ids on each box
			t.Errorf("/stat/all is %q, want 6", stat)
		}
		metrics := siotest.MustGet(t, box.Admin+"/metrics")
		if !strings.Contains(metrics, "\ndoit_cluster_peers 1\n") || !strings.Contains(metrics, "\ndoit_cluster_alone 0\n") {
			t.Errorf("a box has another number of peers than 1, or says that it is alone")
		}
		if log := box.Log(); strings.Count(log, "ERROR") > 1 || strings.Contains(log, "WARN") { // one dial of a box that was not there yet
			t.Errorf("logged %s", log)
		}
	}
}

// A box that cannot reach its route, or whose secret is another, says so once
// and serves alone; its nats-server does not flood the log.
func TestABoxThatStaysAlone(t *testing.T) {
	t.Parallel()
	const secret = "a secret of enough characters"
	unreachable, address, late := siotest.FreeAddress(t), siotest.FreeAddress(t), siotest.FreeAddress(t)
	boot := func(secret, listen string, routes ...string) *siotest.Program {
		return start(t, "embedded", "--node", "vm", "--cluster-secret", secret, "--cluster-listen", listen, "--cluster-routes", strings.Join(routes, ","))
	}
	lone := boot(secret, address, unreachable, address)
	stranger := boot("another secret of enough characters", late, address)
	const warning = "joined with no other box of its cluster"
	alone := func(b *siotest.Program, why string) {
		t.Helper()
		late, poll := time.After(3*siotest.Patience), time.NewTicker(10*time.Millisecond) // the box waits 10 s
		defer poll.Stop()
		for !strings.Contains(b.Log(), warning) {
			select {
			case <-poll.C:
			case <-late:
				t.Fatalf("the log says nothing of it: %s", b.Log())
			}
		}
		ready := siotest.MustGet(t, b.Admin+"/readyz") // 200
		if fact := regexp.MustCompile(`(?m)^cluster +vm, joined with none of .* for more than 10s: .*` + why); !strings.HasPrefix(ready, "ready\n") || !fact.MatchString(ready) {
			t.Errorf("/readyz: %s\n%s", ready, b.Log())
		}
		if page := siotest.MustGet(t, b.Admin+"/"); !strings.Contains(page, "joined with none of") {
			t.Errorf("the status page: %s", page)
		}
		if public := siotest.MustGet(t, b.URL+"/readyz"); public != "ready\n" {
			t.Errorf("the public /readyz: %s", public)
		}
		if metrics := siotest.MustGet(t, b.Admin+"/metrics"); !strings.Contains(metrics, "\ndoit_cluster_alone 1\n") {
			t.Error("doit_cluster_alone is not 1")
		}
	}
	alone(lone, "TLS route handshake error") // the stranger's, which came after the refused dial
	alone(stranger, "certificate")
	page := siotest.Dial(t, lone.URL, siotest.Options{})
	page.Register("u")
	siotest.MustPost(t, lone.URL, "u", "hello", "1")

	friend := boot(secret, unreachable, address)
	natstest.Await(t, "the log to say that the box is joined", func() bool { return strings.Contains(lone.Log(), "is joined with its cluster now") })
	natstest.Await(t, "the metric to be back", func() bool {
		return strings.Contains(siotest.MustGet(t, lone.Admin+"/metrics"), "\ndoit_cluster_alone 0\n")
	})
	onFriend := siotest.Dial(t, friend.URL, siotest.Options{})
	onFriend.Register("v")
	siotest.MustPost(t, lone.URL, "v", "hello", "1")
	if n := strings.Count(lone.Log(), warning); n != 1 {
		t.Errorf("the log says %d times that the box is alone: %s", n, lone.Log())
	}
	if n := strings.Count(lone.Log(), "ERROR"); n > 2 { // a refused dial, a failed handshake
		t.Errorf("%d errors are logged: %s", n, lone.Log())
	}
}
