//go:build soak

package soak

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/siotest"
)

// The attacks on what all visitors share: memory, turns, NATS. Beside each a neighbour goes on hearing, none of its
// emits is refused, the process stays within its memory, and afterwards all is as before.
func TestCost(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		name     string
		programs bool // three programs, not embedded
		within   time.Duration
		resident float64 // MiB, of each program
		attack   func(s *coster)
	}{
		{"polls that never come", false, 100 * time.Millisecond, 1.2 * 1024, (*coster).unpolled},
		{"polls that never come, programs", true, 100 * time.Millisecond, 1.2 * 1024, (*coster).unpolled},
		{"a hot id", false, 200 * time.Millisecond, 300, (*coster).hot},
		{"a hot id, programs", true, 200 * time.Millisecond, 300, (*coster).hot},
		{"a reader of megabytes, programs", true, 100 * time.Millisecond, 300, (*coster).megabytes},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("GOMEMLIMIT", "1GiB")
			s := &coster{t: t, stop: make(chan struct{})}
			if c.programs {
				port := strconv.Itoa(siotest.FreePort(t))
				startNATS(t, port, nil)
				nats := "nats://127.0.0.1:" + port
				s.gateway = start(t, "gateway", "--nats-url", nats)
				s.ingest = start(t, "ingest", "--nats-url", nats)
			} else {
				s.gateway = start(t, "embedded")
				s.ingest = s.gateway
			}
			n := newNeighbour(t, s.gateway, s.ingest)
			idle, _, fault := n.during(func() { <-time.After(time.Second) })
			if fault != nil {
				t.Fatal(fault)
			}
			resident := s.watch()
			events, machine, fault := n.during(func() { c.attack(s) })
			close(s.stop)
			most := resident()
			t.Logf("idle %v", idle)
			t.Logf("meanwhile %v; machine %v", events, machine)
			t.Logf("resident at most %.0f MiB; answers %v", most, s.answers)
			m := read(t, s.gateway)
			t.Logf("closed %s; dropped %s; memory used %.0f of %.0f MiB, refused %.0f", m.since(nil, "doit_gateway_closed_total"),
				m.since(nil, "doit_gateway_dropped_total"), m["doit_memory_used_bytes"]/mib, m["doit_memory_limit_bytes"]/mib, m["doit_memory_refused_total"])
			if fault != nil {
				t.Errorf("the neighbour: %v", fault)
			}
			if events.at(.99) > c.within {
				t.Errorf("the neighbour heard after %v (p99)", events.at(.99))
			}
			if most > c.resident {
				t.Errorf("%.0f MiB were resident", most)
			}
			s.leave()
			if !await(2*patience, func() bool {
				m := read(t, s.gateway)
				return m["doit_gateway_sockets"] == 1 && m["doit_memory_used_bytes"] == 0
			}) {
				m := read(t, s.gateway)
				t.Errorf("%v sockets and %v bytes are left", m["doit_gateway_sockets"]-1, m["doit_memory_used_bytes"])
			}
		})
	}
}

// A coster attacks a gateway and an ingest, which may be one program.
type coster struct {
	t               *testing.T
	gateway, ingest *siotest.Program
	stop            chan struct{}

	mu sync.Mutex
	// Guarded by mu.
	pages   []*siotest.Page
	answers map[string]int
}

func (s *coster) host() string { return strings.TrimPrefix(s.gateway.URL, "http://") }

// watch returns a function that returns how much memory the programs had at most, the larger of them, in MiB.
func (s *coster) watch() func() float64 {
	most, done := 0.0, make(chan struct{})
	go func() {
		defer close(done)
		for tick := time.Tick(100 * time.Millisecond); ; {
			for _, p := range []*siotest.Program{s.gateway, s.ingest} {
				most = max(most, read(s.t, p)["process_resident_memory_bytes"]/(1<<20))
			}
			select {
			case <-tick:
			case <-s.stop:
				return
			}
		}
	}()
	return func() float64 { <-done; return most }
}

// pagesOf opens sessions that register one id each, and keeps them.
func (s *coster) pagesOf(count int, k siotest.Options, id func(i int) string) {
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for i := w; i < count; i += 8 {
				page, err := join(s.host(), k, id(i))
				if err != nil {
					s.t.Errorf("page %d: %v", i, err)
					return
				}
				s.mu.Lock()
				s.pages = append(s.pages, page)
				s.mu.Unlock()
			}
		})
	}
	all.Wait()
}

func (s *coster) leave() {
	for _, page := range s.pages {
		page.Close()
	}
}

// emit emits with a timeout, and notes the answer.
func (s *coster) emit(ids []string, data string) {
	_, answer := newEmitter(s.ingest.URL).emit(ids, "x", data)
	if len(answer) > 40 {
		answer = answer[len(answer)-40:]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answers == nil {
		s.answers = make(map[string]int)
	}
	s.answers[answer]++
}

// unpolled: sessions on polling that never poll, each with an id of its own; then large events to all of them, each
// another one.
func (s *coster) unpolled() {
	sessions := scaled(2000)
	id := func(i int) string { return fmt.Sprint("unpolled", i) }
	s.pagesOf(sessions, polling4, id)
	for round := range 8 {
		for from := 0; from < sessions; from += 60 {
			var ids []string
			for i := from; i < min(sessions, from+60); i++ {
				ids = append(ids, id(i))
			}
			s.emit(ids, fmt.Sprintf(`"%s%d-%d"`, strings.Repeat("x", 1000_000), round, from))
		}
	}
}

// hot: many sockets that read, of one id, and emits that name it as often as is allowed.
func (s *coster) hot() {
	s.pagesOf(scaled(2000), socket4, func(int) string { return "hot" })
	for _, page := range s.pages {
		s.drain(page)
	}
	s.flood(strings.Repeat("x", 1000))
}

// megabytes: one reading socket, and emits of a megabyte that name it as often as is allowed.
func (s *coster) megabytes() {
	s.pagesOf(1, socket4, func(int) string { return "hot" })
	s.drain(s.pages[0])
	s.flood(strings.Repeat("x", 1000_000))
}

// drain reads what comes to a page and looks at nothing: this process must not be what is slow.
func (s *coster) drain(page *siotest.Page) {
	go func() { _, _ = io.Copy(io.Discard, page.Net) }()
}

// flood emits to the hot id for five seconds, from six connections.
func (s *coster) flood(text string) {
	ids := strings.Split(strings.Repeat("hot ", 15)+"hot", " ")
	var all sync.WaitGroup
	end := time.Now().Add(5 * time.Second)
	for range 6 {
		all.Go(func() {
			for time.Now().Before(end) {
				s.emit(ids, `"`+text+`"`)
			}
		})
	}
	all.Wait()
}
