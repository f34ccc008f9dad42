//go:build soak

package soak

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/siotest"
)

const cpuSeconds = "process_cpu_seconds_total"

// 60,000 connects with register at 1,000 a second, whatever becomes of the
// ones before, then 15,000 as fast as they come: none lost, closed or deaf.
func TestConnects(t *testing.T) {
	const (
		rate     = 1000
		hold     = 4 * time.Second
		allowed  = 500 * time.Millisecond // p99 of the callback
		inFlight = 1000                   // handshakes at once, of those as fast as they come
	)
	p := start(t, "embedded", manyAddresses)

	t.Run("1000 a second", func(t *testing.T) {
		c := newConnects(p, scaled(60_000), hold)
		cpu, began := read(t, p)[cpuSeconds], time.Now()
		for i := range c.count {
			due := began.Add(time.Duration(i) * time.Second / rate)
			time.Sleep(time.Until(due)) // the load's pace
			c.running.Go(func() { c.page(i, due) })
		}
		c.end(t)
		t.Logf("the server took %.0f µs of processor time for each", (read(t, p)[cpuSeconds]-cpu)/float64(c.count)*1e6)
		if p99 := c.callbacks.at(.99); p99 > allowed {
			t.Errorf("p99 of the callback is %v, over %v", p99, allowed)
		}
	})
	t.Run("as fast as they come", func(t *testing.T) {
		c := newConnects(p, scaled(15_000), 0)
		began := time.Now()
		var next atomic.Int64
		c.all = make(chan struct{})
		var handshakes sync.WaitGroup
		for range inFlight {
			handshakes.Go(func() {
				for i := int(next.Add(1)) - 1; i < c.count; i = int(next.Add(1)) - 1 {
					registered := make(chan struct{})
					c.running.Go(func() { c.held(i, registered) })
					<-registered
				}
			})
		}
		handshakes.Wait()
		took := time.Since(began)
		held := read(t, p)["doit_gateway_sockets"]
		close(c.all)
		t.Logf("%d connects in %v: %.0f a second; the server holds %.0f at once", c.count, took.Round(time.Millisecond), float64(c.count)/took.Seconds(), held)
		if int(held) != c.count {
			t.Errorf("the server holds %v of %d sockets", held, c.count)
		}
		c.end(t)
	})
	if !await(2*patience, func() bool { return read(t, p)["doit_gateway_sockets"] == 0 }) {
		t.Errorf("all have left, and the server holds %v sockets", read(t, p)["doit_gateway_sockets"])
	}
}

// connects are pages that come, register, hear one event, stay a while and leave.
type connects struct {
	host  string
	count int
	hold  time.Duration
	name  string
	all   chan struct{} // if not nil, closed when all are there: no event before

	fences  chan string // ids to emit to
	emits   chan []string
	running sync.WaitGroup

	mu sync.Mutex
	// Guarded by mu.
	callbacks times // register sent until its callback
	whole     times // due until the callback
	kinds     map[string]int
	faults    map[string]int
	lost      int
	closed    int
	deaf      int
}

var runs atomic.Int64

func newConnects(p *siotest.Program, count int, hold time.Duration) *connects {
	c := &connects{
		host: strings.TrimPrefix(p.URL, "http://"), count: count, hold: hold, name: fmt.Sprintf("run%d-", runs.Add(1)),
		fences: make(chan string, count), emits: make(chan []string, 1),
		kinds: make(map[string]int), faults: make(map[string]int),
	}
	go func() { c.emits <- newEmitter(p.URL).collect(c.fences, "fence") }()
	return c
}

// pick returns what the i-th page is. An eager one sends CONNECT and register
// behind the handshake's request, before any answer.
func pick(i int) (k siotest.Options, eager bool) {
	switch i % 20 {
	case 0:
		return polling4, false
	case 1:
		return polling3, false
	case 2:
		return socket3, false
	case 3:
		return socket3, true
	}
	return socket4, i%4 == 0
}

// enter brings the i-th page to its callback.
func (c *connects) enter(i int, due time.Time) (page *siotest.Page, id string) {
	k, eager := pick(i)
	id = fmt.Sprint(c.name, i)
	var sent time.Time
	var err error
	if eager {
		sent = time.Now()
		behind := []string{siotest.Registration(id)}
		if k.EIO == 4 {
			behind = []string{"40", siotest.Registration(id)}
		}
		if page, err = open(c.host, k, behind...); err == nil {
			if err = page.Expect("40"); err == nil {
				err = page.Expect(siotest.Registered)
			}
		}
	} else if page, err = open(c.host, k); err == nil {
		if err = page.Join(); err == nil {
			sent = time.Now()
			err = page.Register(id)
		}
	}
	if err != nil {
		c.fault(&c.lost, fmt.Sprintf("lost (%v, eager %v): %v", k, eager, err))
		return nil, id
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.callbacks = append(c.callbacks, time.Since(sent))
	c.whole = append(c.whole, time.Since(due))
	name := k.String()
	if eager {
		name += " at once"
	}
	c.kinds[name]++
	return page, id
}

func (c *connects) page(i int, due time.Time) {
	page, id := c.enter(i, due)
	if page != nil {
		c.stay(page, id)
	}
}

// held enters, says so, and stays until all are there.
func (c *connects) held(i int, registered chan<- struct{}) {
	page, id := c.enter(i, time.Now())
	close(registered)
	if page == nil {
		return
	}
	<-c.all
	c.stay(page, id)
}

// stay hears one event and nothing else, and leaves.
func (c *connects) stay(page *siotest.Page, id string) {
	defer page.Close()
	c.fences <- id
	event, err := page.Hear(time.Now().Add(3 * patience))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.fault(&c.deaf, fmt.Sprintf("deaf (%v)", page.Options))
		return
	case err != nil:
		c.fault(&c.closed, fmt.Sprintf("closed (%v): %v", page.Options, err))
		return
	case event != `["fence",1]`:
		c.fault(&c.deaf, "heard "+event)
		return
	}
	if event, err = page.Hear(time.Now().Add(c.hold)); !errors.Is(err, os.ErrDeadlineExceeded) {
		c.fault(&c.closed, fmt.Sprintf("while it was there (%v): %q, %v", page.Options, event, err))
		return
	}
	if !page.Polling { // a poll waits: it leaves by breaking it
		page.Goodbye()
	}
}

func (c *connects) fault(count *int, what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*count++
	c.faults[what]++
}

// end waits for all pages and tells how they fared.
func (c *connects) end(t *testing.T) {
	t.Helper()
	c.running.Wait()
	close(c.fences)
	if faults := <-c.emits; len(faults) > 0 {
		t.Errorf("%d emits were not answered OK, the first with %q", len(faults), faults[0])
	}
	t.Logf("%d connects (%v): %d lost, %d closed, %d deaf", c.count, c.kinds, c.lost, c.closed, c.deaf)
	t.Logf("register to callback %v", c.callbacks)
	t.Logf("due to callback      %v", c.whole)
	for fault, n := range c.faults {
		t.Errorf("%d times: %s", n, fault)
	}
}
