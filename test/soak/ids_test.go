//go:build soak

package soak

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/siotest"
)

// 100 sockets register and give up 32 new ids 48 times a second each, within --max-frames, as one process and as three.
// The neighbour hears within 50 ms (p99), no emit to it fails, and the gateway has under 1,000 goroutines.
func TestChurnOfIDs(t *testing.T) {
	const (
		sockets, ids  = 100, 32
		pace          = time.Second / 48
		within        = 50 * time.Millisecond
		maxGoroutines = 1000
	)
	rounds := scaled(10 * 48)
	attack := func(t *testing.T, gateway *siotest.Program, n *neighbour) {
		s := &stranger{program: gateway, host: strings.TrimPrefix(gateway.URL, "http://"), t: t, ctx: t.Context()}
		defer s.leave()
		var pages []*siotest.Page
		for range sockets {
			c, err := s.open(socket4, "40")
			if err != nil {
				t.Fatal(err)
			}
			pages = append(pages, c)
		}
		before := read(t, gateway)
		var goroutines float64
		sent := 0
		events, machine, fault := n.during(func() {
			var running sync.WaitGroup
			var mu sync.Mutex
			for i, c := range pages {
				running.Go(func() {
					tick := time.NewTicker(pace)
					defer tick.Stop()
					for round := range rounds {
						<-tick.C
						list := newIDs(ids, i, round)
						frames := append(siotest.Frame(`42["register",{"userid":`+list+`}]`), siotest.Frame(`42["unregister",{"userid":`+list+`}]`)...)
						if err := c.Write(frames); err != nil {
							t.Errorf("the attack: %v", err)
							return
						}
						mu.Lock()
						sent++
						mu.Unlock()
					}
				})
			}
			done := make(chan struct{})
			go func() { running.Wait(); close(done) }()
			for tick := time.Tick(100 * time.Millisecond); ; {
				select {
				case <-tick:
					goroutines = max(goroutines, read(t, gateway)["go_goroutines"])
					continue
				case <-done:
				}
				break
			}
		})
		after := read(t, gateway)
		t.Logf("%d registrations of %d ids: neighbour %v; machine %v; at most %.0f goroutines; CPU %.1f s; refused: %s", sent, ids, events, machine, goroutines,
			after["process_cpu_seconds_total"]-before["process_cpu_seconds_total"], after.since(before, "doit_gateway_registrations_refused_total"))
		if fault != nil {
			t.Errorf("the neighbour: %v", fault)
		}
		if events.at(.99) > within {
			t.Errorf("the neighbour heard after %v, the machine's own stall being %v", events.at(.99), machine.at(.99))
		}
		if goroutines > maxGoroutines {
			t.Errorf("%.0f goroutines", goroutines)
		}
	}
	t.Run("embedded", func(t *testing.T) {
		p := start(t, "embedded")
		attack(t, p, newNeighbour(t, p, p))
	})
	t.Run("three programs", func(t *testing.T) {
		port := strconv.Itoa(siotest.FreePort(t))
		startNATS(t, port, nil)
		url := "nats://127.0.0.1:" + port
		gateway, ingest := start(t, "gateway", "--nats-url", url), start(t, "ingest", "--nats-url", url)
		attack(t, gateway, newNeighbour(t, gateway, ingest))
	})
}

// newIDs returns a JSON list of ids that nobody has had before.
func newIDs(n, socket, round int) string {
	list := make([]byte, 0, n*20)
	for i := range n {
		list = fmt.Appendf(list, `,"n%d-%d-%d"`, socket, round, i)
	}
	return "[" + string(list[1:]) + "]"
}
