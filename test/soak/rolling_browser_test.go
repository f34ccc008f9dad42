//go:build soak

package soak

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// "Rolling restart of both gateways under load, with pages that register on
// connect and with the seed's page as it is: no emit answered 5xx, each
// browser reconnects at most once per gateway restarted, the loss window is
// reported, and the pages left without an id are counted."
//
// So it is here in a browser, with published clients on their default
// transports, behind a balancer without stickiness. What is answered OK is
// heard, once and in order, also while the gateways end; all pages are
// connected in the end, and all but those of 2014 are reached again.
// TestClusterRollingRestart has more pages, and more emits.
func TestClusterRollingBrowsers(t *testing.T) {
	const ofEach = 5 // kinds of pages, which rolling.mjs has
	c := startCluster(t, "--drain", "5s")
	host := c.startBalancer()
	b := openBrowsers(t, host, ofEach)
	e := newEmitter("http://" + host)

	s := &streams{oks: make(map[string][]int), answers: make(map[string]int), end: make(chan struct{})}
	pages := b.pages()
	for _, p := range pages {
		if !await(patience, func() bool { _, answer := e.emit([]string{p.ID}, "registered", "1"); return answer == "OK" }) {
			t.Fatalf("%s: %s is not registered", p.Kind, p.ID)
		}
	}
	pages = b.pages()
	for _, p := range pages {
		s.running.Go(func() { s.emit(e, p.ID) })
	}
	for i := range c.gateways {
		c.restartGateway(i)
		pages = b.back(c, pages, fmt.Sprint("gateway ", i+1))
		before := s.counts()
		if !await(patience, func() bool {
			now := s.counts()
			return !slices.ContainsFunc(pages, func(p browserPage) bool { return !p.Deaf && now[p.ID] == before[p.ID] })
		}) {
			t.Fatalf("after gateway %d not all pages are reached: OK %v, later %v", i+1, before, s.counts())
		}
		c.awaitBalancer(host, i)
	}
	close(s.end)
	s.running.Wait()

	if !await(patience, func() bool {
		pages = b.pages()
		return len(s.unheard(pages)) == 0
	}) {
		t.Errorf("answered OK and not heard: %v", s.unheard(pages))
	}
	deaf := 0
	for _, p := range pages {
		t.Logf("%v", p)
		if !p.Connected {
			t.Errorf("%s, %s: it is not connected", p.Kind, p.ID)
		}
		if !slices.IsSorted(p.Heard) || len(slices.Compact(slices.Clone(p.Heard))) != len(p.Heard) {
			t.Errorf("%s, %s: not in order, or twice: %v", p.Kind, p.ID, p.Heard)
		}
		wanted := "OK"
		if p.Deaf {
			deaf++
			wanted = "ERROR"
		}
		if status, answer := e.emit([]string{p.ID}, "end", "1"); answer != wanted {
			t.Errorf("%s, %s: an emit in the end is answered %d %s", p.Kind, p.ID, status, answer)
		}
	}
	nameless := 0.0
	if !await(patience, func() bool { nameless = c.sum("doit_gateway_nameless_sockets"); return int(nameless) == deaf }) {
		t.Errorf("%v sockets are counted as nameless, %d pages are", nameless, deaf)
	}
	t.Logf("%d pages; %.0f sockets are counted as nameless, %d pages are; emits: %v", len(pages), nameless, deaf, s.answers)
	t.Logf("a page that registers again is reached by no emit for %v", s.windows)
	for answer, n := range s.answers {
		if !strings.HasPrefix(answer, "200 ") {
			t.Errorf("%d emits were answered %q", n, answer)
		}
	}
}

// A browserPage is what a page in Chromium has seen.
type browserPage struct {
	Kind, ID, Transport  string
	Deaf                 bool // once it has reconnected
	Connected            bool
	Connects, Reconnects int
	Losses               []string // why each connection ended, as the client says
	Heard                []int
}

func (p browserPage) String() string {
	return fmt.Sprintf("%-45s connects %d, reconnects %d, lost by %q, heard %d, on %s", p.Kind, p.Connects, p.Reconnects, p.Losses, len(p.Heard), p.Transport)
}

// browsers are the pages that rolling.mjs holds open.
type browsers struct {
	t   *testing.T
	ask io.Writer
	say *bufio.Reader
}

func openBrowsers(t *testing.T, host string, ofEach int) *browsers {
	t.Helper()
	node := exec.Command("node", "rolling.mjs")
	node.Dir, node.Env = "../browser", append(os.Environ(), "DOIT_URL=http://"+host, fmt.Sprint("DOIT_PAGES=", ofEach))
	node.Stderr = os.Stderr
	ask, err := node.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	say, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = ask.Close()
		if err := node.Wait(); err != nil {
			t.Errorf("rolling.mjs: %v", err)
		}
	})
	return &browsers{t: t, ask: ask, say: bufio.NewReader(say)}
}

func (b *browsers) pages() (pages []browserPage) {
	b.t.Helper()
	_, err := io.WriteString(b.ask, "\n")
	var line []byte
	if err == nil {
		line, err = b.say.ReadBytes('\n')
	}
	if err == nil {
		err = json.Unmarshal(line, &pages)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return pages
}

// back waits until all pages have come back from a restart, each once at most.
func (b *browsers) back(c *cluster, before []browserPage, from string) (pages []browserPage) {
	b.t.Helper()
	const lost = 90 * time.Second // until a gateway knows that a page of 2014 is gone that said nothing
	if !await(lost, func() bool {
		// A page may not know yet that it is lost: the gateways do.
		if int(c.sum("doit_gateway_sessions")) != len(before) {
			return false
		}
		pages = b.pages()
		return !slices.ContainsFunc(pages, func(p browserPage) bool { return !p.Connected })
	}) {
		b.t.Fatalf("after %s there are %v sessions of %v", from, c.sum("doit_gateway_sessions"), b.pages())
	}
	reconnects := make(map[int]int)
	for i, p := range pages {
		n := max(p.Connects-before[i].Connects, p.Reconnects-before[i].Reconnects)
		reconnects[n]++
		if n > 1 {
			b.t.Errorf("%s reconnected %d times from %s: %v", p.ID, n, from, p)
		}
	}
	b.t.Logf("reconnects from %s, and of how many pages: %v", from, reconnects)
	return pages
}

// streams are emits to each page, one after the other's answer.
type streams struct {
	end     chan struct{}
	running sync.WaitGroup

	mu sync.Mutex
	// Guarded by mu.
	answers map[string]int   // how often each came
	oks     map[string][]int // by id: what was answered OK
	windows times            // from the first that was not to the next that was
}

// emit emits 1, 2, 3 to an id until the end.
func (s *streams) emit(e *emitter, id string) {
	var lost time.Time
	for n, tick := 1, time.Tick(100*time.Millisecond); ; n++ {
		select {
		case <-s.end:
			return
		case <-tick:
		}
		asked := time.Now()
		status, answer := e.emit([]string{id}, "n", strconv.Itoa(n))
		s.mu.Lock()
		s.answers[fmt.Sprint(status, " ", answer)]++
		if answer == "OK" {
			s.oks[id] = append(s.oks[id], n)
			if !lost.IsZero() {
				s.windows = append(s.windows, time.Since(lost))
			}
			lost = time.Time{}
		} else if lost.IsZero() {
			lost = asked
		}
		s.mu.Unlock()
	}
}

// counts tells how many emits to each id were answered OK.
func (s *streams) counts() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := make(map[string]int)
	for id, oks := range s.oks {
		counts[id] = len(oks)
	}
	return counts
}

// unheard are the emits that were answered OK and that no page has heard, by kind and id.
func (s *streams) unheard(pages []browserPage) map[string][]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	unheard := make(map[string][]int)
	for _, p := range pages {
		for _, n := range s.oks[p.ID] {
			if !slices.Contains(p.Heard, n) {
				name := p.Kind + ", " + p.ID
				unheard[name] = append(unheard[name], n)
			}
		}
	}
	return unheard
}
