//go:build soak

package soak

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/ramainen/doit-socket/internal/siotest"
)

// SIGTERM with 2,000 sockets: they are closed evenly over the drain time, each
// is told, what was sent before arrives before, nobody new is let in, exit 0.
func TestDrain(t *testing.T) {
	const (
		drain  = 5 * time.Second
		grace  = 2 * time.Second
		uneven = 3 // times its share may a tenth of the time have
		lazy   = 10
	)
	p := start(t, "embedded", "--drain", drain.String())
	d := newDrain(t, p, scaled(2000))
	for i := range lazy {
		d.add(t, fmt.Sprint("lazy", i), socket4, true)
	}
	d.fill(t)
	t.Logf("%d sockets, %d of them have not read the last of %d messages of 100 KB", d.count, lazy, d.lazyMessages)

	p.Signal(syscall.SIGTERM)
	began := time.Now()
	close(d.begin)
	if !await(time.Second, func() bool { return ready(p) == 503 }) {
		t.Errorf("/readyz is %d after a second of draining", ready(p))
	}
	refused := 0
	for range 20 {
		if c, err := open(d.host, socket4); err == nil {
			c.Close()
		} else {
			refused++
		}
	}
	select {
	case <-p.Ended():
	case <-time.After(drain + grace - time.Since(began)):
		t.Errorf("it has not ended %v after the signal", drain+grace)
		<-p.Ended()
	}
	took := time.Since(began)
	d.running.Wait()

	t.Logf("ended after %.2fs with %v; %d of 20 new sockets refused; %d of %d sockets told, %d lost what was sent before", took.Seconds(), exit(p), refused, d.told, d.count, d.lost)
	tenths := make([]int, 11)
	for _, closed := range d.closed {
		tenths[min(10, int(10*closed.Sub(began)/drain))]++
	}
	t.Logf("closed in each tenth of %v, and after it: %v", drain, tenths)
	for i, n := range tenths {
		if i < 10 && n > uneven*d.count/10 || i == 10 && n > d.count/10 {
			t.Errorf("%d of %d sockets are closed in tenth %d", n, d.count, i+1)
		}
	}
	if p.Err() != nil || refused != 20 || d.told != d.count || d.lost > 0 {
		t.Fail()
	}
	for fault, n := range d.faults {
		t.Errorf("%d times: %s", n, fault)
	}
}

// A second SIGTERM ends the process at once.
func TestDrainTwice(t *testing.T) {
	p := start(t, "embedded", "--drain", "1m")
	d := newDrain(t, p, scaled(2000))
	p.Signal(syscall.SIGTERM)
	if !await(time.Second, func() bool { return ready(p) == 503 }) {
		t.Errorf("/readyz is %d after a second of draining", ready(p))
	}
	p.Signal(syscall.SIGTERM)
	began := time.Now()
	select {
	case <-p.Ended():
		t.Logf("the second signal ended it after %v with %v", time.Since(began).Round(time.Millisecond), exit(p))
	case <-time.After(time.Second):
		t.Error("it lives a second after the second signal")
		p.Signal(syscall.SIGKILL)
	}
	close(d.begin)
	d.running.Wait()
}

// ready is the status of /readyz, or 0 where nobody answers.
func ready(p *siotest.Program) int {
	status, _, _ := get(p.Admin + "/readyz")
	return status
}

func exit(p *siotest.Program) string {
	if p.Err() != nil {
		return p.Err().Error()
	}
	return "exit code 0"
}

// drain are pages that stay until the server closes them.
type drain struct {
	program *siotest.Program
	host    string
	count   int
	running sync.WaitGroup
	ids     []string
	lazyIDs []string
	begin   chan struct{} // closed when the signal is sent: lazy ones begin to read

	lazyMessages int // that lazy ones have been sent by then

	mu sync.Mutex
	// Guarded by mu.
	closed     []time.Time
	told, lost int
	faults     map[string]int
}

func newDrain(t *testing.T, p *siotest.Program, count int) *drain {
	d := &drain{program: p, host: strings.TrimPrefix(p.URL, "http://"), begin: make(chan struct{}), faults: make(map[string]int)}
	kinds := []siotest.Options{socket4, socket4, socket4, socket4, socket4, socket4, socket3, socket3, polling4, polling3}
	for i := range count {
		d.add(t, fmt.Sprint("drain", i), kinds[i%len(kinds)], false)
	}
	return d
}

// add lets a page in. A lazy one does not read before the signal.
func (d *drain) add(t *testing.T, id string, k siotest.Options, lazy bool) {
	page, err := join(d.host, k, id)
	if err != nil {
		t.Fatal(err)
	}
	d.count++
	if lazy {
		d.lazyIDs = append(d.lazyIDs, id)
	} else {
		d.ids = append(d.ids, id)
	}
	d.running.Go(func() { d.stay(page, lazy) })
}

// large is the data of a message to a lazy page.
var large = `"` + strings.Repeat("x", 100_000) + `"`

// room finds out how many large messages kernel and queue take for a page that
// does not read, before it is closed.
func (d *drain) room(t *testing.T, e *emitter) (messages int) {
	page, err := join(d.host, socket4, "room")
	if err != nil {
		t.Fatal(err)
	}
	defer page.Close()
	for answer := "OK"; answer == "OK"; messages++ {
		_, answer = e.emit([]string{"room"}, "before", large)
	}
	return messages - 1
}

// fill emits to every page by itself, so that OK says that this page has it,
// and to the lazy ones so much that about a megabyte of it waits in their queues.
func (d *drain) fill(t *testing.T) {
	e := newEmitter(d.program.URL)
	d.lazyMessages = d.room(t, e) - 10
	var running sync.WaitGroup
	const hands = 8
	for hand := range hands {
		running.Go(func() {
			for i := hand; i < len(d.ids); i += hands {
				if _, answer := e.emit(d.ids[i:i+1], "before", "1"); answer != "OK" {
					t.Errorf("an emit before the signal: %s", answer)
				}
			}
		})
	}
	for range d.lazyMessages {
		for _, id := range d.lazyIDs {
			if _, answer := e.emit([]string{id}, "before", large); answer != "OK" {
				t.Errorf("an emit to one that reads late: %s", answer)
			}
		}
	}
	running.Wait()
}

func (d *drain) stay(page *siotest.Page, lazy bool) {
	defer page.Close()
	expected := 1
	if lazy {
		<-d.begin
		expected = d.lazyMessages
	}
	heard := 0
	var err error
	for ; err == nil; heard++ {
		_, err = page.Hear(time.Now().Add(3 * patience))
	}
	heard-- // the last was the close
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = append(d.closed, time.Now())
	if heard != expected {
		d.lost++
	}
	var close siotest.CloseError
	if errors.As(err, &close) && (page.Polling || close.Code == ws.StatusGoingAway) {
		d.told++
	} else {
		d.faults[fmt.Sprintf("%v: %v", page.Options, err)]++
	}
}
