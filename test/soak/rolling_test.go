//go:build soak

package soak

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/siotest"
)

// Both gateways are restarted one after the other, as one upgrades them, under
// 500 emits a second through the balancer: no emit is 5xx, each page comes back
// once for each gateway at most. Pages that register when they connect miss
// what is emitted in between; pages that register once, as in 2014, are left
// without an id, and counted.
func TestClusterRollingRestart(t *testing.T) {
	const (
		pages = 100 // of either kind
		rate  = 500
		drain = 5 * time.Second
		again = 500 * time.Millisecond // until a page comes back; clients wait as long, or longer
	)
	c := startCluster(t, "--drain", drain.String())
	host := c.startBalancer()
	stop := make(chan struct{})
	var running sync.WaitGroup
	var faithful, old []*rollingPage
	for i := range 2 * pages {
		p := &rollingPage{id: fmt.Sprint("page", i), kind: socket4, registers: true}
		if i%2 == 0 {
			faithful = append(faithful, p)
		} else {
			p.kind, p.registers = socket3, false
			old = append(old, p)
		}
		running.Go(func() { p.stay(host, again, stop) })
	}
	registered := func(pages []*rollingPage) (n int) {
		for _, p := range pages {
			if p.registered.Load() {
				n++
			}
		}
		return n
	}
	if !await(patience, func() bool { return registered(faithful)+registered(old) == 2*pages }) {
		t.Fatalf("%d of %d pages are registered", registered(faithful)+registered(old), 2*pages)
	}

	e := newEmitter("http://" + host)
	var mu sync.Mutex
	answers := make(map[string]int)
	end := make(chan struct{})
	running.Go(func() {
		var all sync.WaitGroup
		defer all.Wait()
		for n, tick := 0, time.Tick(time.Second/rate); ; n++ {
			select {
			case <-end:
				return
			case <-tick:
			}
			all.Go(func() {
				status, answer := e.emit([]string{faithful[n%pages].id}, "n", strconv.Itoa(n))
				mu.Lock()
				defer mu.Unlock()
				answers[strings.TrimSpace(fmt.Sprint(status, " ", answer))]++
			})
		}
	})
	for i := range c.gateways {
		<-time.After(2 * time.Second)
		c.restartGateway(i)
		if !await(patience, func() bool { return registered(faithful) == pages }) {
			t.Fatalf("%d of %d pages are back", registered(faithful), pages)
		}
	}
	<-time.After(2 * time.Second)
	close(end)
	nameless := 0.0
	if !await(patience, func() bool {
		nameless = c.sum("doit_gateway_nameless_sockets")
		return int(nameless) == len(old)
	}) {
		t.Errorf("%v sockets are counted as nameless, %d pages are", nameless, len(old))
	}
	close(stop)
	running.Wait()

	var windows times
	most := int64(0)
	for _, p := range append(faithful, old...) {
		most = max(most, p.reconnects.Load())
		windows = append(windows, p.windows...)
	}
	t.Logf("emits: %v", answers)
	t.Logf("a page that registers when it connects hears nothing for %v", windows)
	t.Logf("reconnects of a page: %d at most; sockets left without an id: %.0f of %d", most, nameless, 2*pages)
	if most > int64(len(c.gateways)) {
		t.Errorf("a page reconnected %d times for %d gateways", most, len(c.gateways))
	}
	for answer, n := range answers {
		if !strings.HasPrefix(answer, "200 ") {
			t.Errorf("%d emits were answered %q", n, answer)
		}
	}
}

// A rollingPage comes back when it is closed.
type rollingPage struct {
	kind       siotest.Options
	id         string
	registers  bool // each time that it connects, not only at first
	registered atomic.Bool
	reconnects atomic.Int64
	windows    times // without a registration; of the goroutine, until that has ended
}

func (p *rollingPage) stay(host string, again time.Duration, stop <-chan struct{}) {
	var lost time.Time
	for first := true; ; first = false {
		page, err := open(host, p.kind)
		if err == nil {
			if !first {
				p.reconnects.Add(1)
			}
			ended := make(chan struct{})
			go func() {
				select {
				case <-stop:
				case <-ended:
				}
				page.Close()
			}()
			if err = page.Join(); err == nil && (first || p.registers) {
				err = page.Send(siotest.Registration(p.id))
			}
			for err == nil {
				var packet string
				if packet, err = page.Next(time.Now().Add(time.Minute)); packet == siotest.Registered {
					p.registered.Store(true)
					if !lost.IsZero() {
						p.windows = append(p.windows, time.Since(lost))
					}
				}
			}
			close(ended)
			p.registered.Store(false)
			lost = time.Now()
		}
		select {
		case <-stop:
			return
		case <-time.After(again):
		}
	}
}
