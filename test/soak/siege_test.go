//go:build soak

package soak

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/siotest"
)

var siege = flag.Duration("soak.siege", time.Minute, "how long the siege lasts")

// All attacks, mixed at random and two at a time, on a process in a cgroup with 2 GiB, beside 2,000 sockets that read and
// 500 emits a second to them. The process lives, every emit to them is answered OK, and every one is heard, once.
func TestSiege(t *testing.T) {
	const (
		sockets = 2000
		memory  = 2 << 30 // bytes
		rate    = 500     // emits a second
		hands   = 2       // attacks at a time
	)
	program, used := inCgroup(t, memory, "embedded")
	p := siotest.Start(t, program, "--ping-interval", "3s", "--ping-timeout", "5s")
	c := newCrowd(t, p, sockets)
	before := read(t, p)

	type move struct {
		name string
		run  func()
	}
	var moves []move
	nginx := sync.OnceValue(func() string { return startNginx(t, p.URL) })
	for _, a := range costs {
		if !a.programs {
			moves = append(moves, move{a.name, func() {
				s := &coster{t: lenient{t}, hard: 1, gateway: p, ingest: p, nginx: nginx, stop: make(chan struct{})}
				defer s.leave()
				a.attack(s)
			}})
		}
	}
	for _, a := range attacks {
		moves = append(moves, move{a.name, func() {
			ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
			defer cancel()
			s := &stranger{program: p, host: strings.TrimPrefix(p.URL, "http://"), t: lenient{t}, ctx: ctx}
			defer s.leave()
			a.run(s)
		}})
	}

	end := time.Now().Add(*siege)
	var mu sync.Mutex
	done := make(map[string]int)
	var attacking sync.WaitGroup
	for range hands {
		attacking.Go(func() {
			for time.Now().Before(end) {
				m := moves[rand.IntN(len(moves))]
				m.run()
				mu.Lock()
				done[m.name]++
				mu.Unlock()
			}
		})
	}
	besieged := make(chan struct{})
	go func() { attacking.Wait(); close(besieged) }()
	c.emit(rate, besieged)

	after := read(t, p)
	t.Logf("%v; %d kinds of attacks: %v", *siege, len(done), done)
	t.Logf("%d emits: %v; faults %v", c.emits, c.took, c.faults)
	t.Logf("resident %.0f MiB at the end, %.0f in the cgroup at most; CPU %.0f s; refused: memory %.0f, handshakes %s; closed %s",
		after["process_resident_memory_bytes"]/mib, used()/mib, after["process_cpu_seconds_total"]-before["process_cpu_seconds_total"],
		after["doit_memory_refused_total"], after.since(before, "doit_gateway_refused_total"), after.since(before, "doit_gateway_closed_total"))
	if len(c.faults) > 0 {
		t.Errorf("the crowd: %v", c.faults)
	}
	if lost := c.lost(); lost > 0 {
		t.Errorf("%d of %d emits were not heard", lost, c.emits)
	}
}

// A lenient test takes what fails of an attack for the server's good right.
type lenient struct{ testing.TB }

func (lenient) Error(...any)          {}
func (lenient) Errorf(string, ...any) {}

// A crowd is pages that read, each with an id of its own.
type crowd struct {
	emitter *emitter
	ids     []string

	emits int // of the goroutine of emit

	mu sync.Mutex
	// Guarded by mu.
	open   map[int]time.Time // emits that were not heard yet, by number
	took   times
	faults map[string]int
}

func newCrowd(t *testing.T, p *siotest.Program, sockets int) *crowd {
	c := &crowd{emitter: newEmitter(p.URL), open: make(map[int]time.Time), faults: make(map[string]int)}
	stop := make(chan struct{})
	var hearing sync.WaitGroup
	var pages []*siotest.Page
	for i := range sockets {
		id := fmt.Sprint("crowd", i)
		page, err := join(strings.TrimPrefix(p.URL, "http://"), socket4, id)
		if err != nil {
			t.Fatal(err)
		}
		c.ids, pages = append(c.ids, id), append(pages, page)
		hearing.Go(func() { c.hear(page, stop) })
	}
	t.Cleanup(func() {
		close(stop)
		for _, page := range pages {
			page.Close()
		}
		hearing.Wait()
	})
	return c
}

func (c *crowd) fault(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults[what]++
}

func (c *crowd) hear(page *siotest.Page, stop <-chan struct{}) {
	for {
		event, err := page.Hear(time.Time{})
		if err != nil {
			select {
			case <-stop:
			default:
				c.fault(err.Error())
			}
			return
		}
		var number int
		if _, err := fmt.Sscanf(event, `["s",%d]`, &number); err != nil {
			c.fault("heard " + event)
			continue
		}
		c.mu.Lock()
		if sent, ok := c.open[number]; ok {
			c.took = append(c.took, time.Since(sent))
			delete(c.open, number)
		} else {
			c.faults["heard twice"]++
		}
		c.mu.Unlock()
	}
}

// emit emits to random pages until end. It catches up where this process was late.
func (c *crowd) emit(rate int, end <-chan struct{}) {
	var emitting sync.WaitGroup
	defer emitting.Wait()
	began := time.Now()
	for tick := time.Tick(time.Second / time.Duration(rate)); ; {
		select {
		case <-tick:
		case <-end:
			return
		}
		for due := int(time.Since(began).Seconds() * float64(rate)); c.emits < due; {
			number := c.emits
			c.mu.Lock()
			c.emits++
			c.open[number] = time.Now()
			c.mu.Unlock()
			emitting.Go(func() {
				id := c.ids[rand.IntN(len(c.ids))]
				if status, answer := c.emitter.emit([]string{id}, "s", fmt.Sprint(number)); answer != "OK" {
					c.fault(fmt.Sprintf("answered %d %s", status, answer))
				}
			})
		}
	}
}

// lost returns how many emits are not heard after patience.
func (c *crowd) lost() (n int) {
	await(patience, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		n = len(c.open)
		return n == 0
	})
	return n
}

// inCgroup returns a program that runs in a cgroup of its own with so much memory, and a function that returns the most
// that it has used. It needs root, and cgroups of either version.
func inCgroup(t *testing.T, memory int64, name string) (program string, used func() float64) {
	t.Helper()
	base, limit, peak := "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.max_usage_in_bytes"
	if _, err := os.Stat(base); err != nil {
		base, limit, peak = "/sys/fs/cgroup", "memory.max", "memory.peak"
	}
	dir := filepath.Join(base, fmt.Sprint("doit-siege-", os.Getpid()))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatalf("a cgroup is needed: %v", err)
	}
	t.Cleanup(func() {
		if !await(patience, func() bool { return os.Remove(dir) == nil }) {
			t.Errorf("%s is left", dir)
		}
	})
	if err := os.WriteFile(filepath.Join(dir, limit), fmt.Append(nil, memory), 0o600); err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(t.TempDir(), name)
	script := fmt.Sprintf("#!/bin/sh\necho $$ > %s/cgroup.procs\nexec '%s' \"$@\"\n", dir, filepath.Join(binaries, name))
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return program, func() (most float64) {
		text, _ := os.ReadFile(filepath.Join(dir, peak))
		_, _ = fmt.Sscan(string(text), &most)
		return most
	}
}
