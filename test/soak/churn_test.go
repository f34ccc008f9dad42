//go:build soak

package soak

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/siotest"
)

// 500 connects a second, half of them reset at a random moment, and then rest:
// what the server holds is what it held at the start.
func TestChurn(t *testing.T) {
	const (
		rate  = 500
		off   = 10 // in every gauge
		grows = 10 // MiB
		said  = 10 * time.Minute
	)
	p := start(t, "embedded", manyAddresses)
	names := gauges(t, p)
	before, heapBefore := read(t, p), heap(t, p, 2)

	c := churn{host: strings.TrimPrefix(p.URL, "http://"), faults: make(map[string]int)}
	var running sync.WaitGroup
	began := time.Now()
	for i, next := 0, began.Add(said); time.Since(began) < *duration; i++ {
		time.Sleep(time.Until(began.Add(time.Duration(i) * time.Second / rate))) // the load's pace
		running.Go(func() { c.page(i) })
		if time.Now().After(next) {
			now := read(t, p)
			t.Logf("after %v: %d connects, %.0f sockets, %.0f goroutines, heap %.1f MiB", time.Since(began).Round(time.Minute), i,
				now["doit_gateway_sockets"], now["go_goroutines"], heap(t, p, 1))
			next = next.Add(said)
		}
	}
	running.Wait()
	took := time.Since(began)
	atEnd := read(t, p)
	<-time.After(*rest)
	after, heapAfter := read(t, p), heap(t, p, 2)

	t.Logf("%d connects in %v, %d reset, %d went well: closed by the server as %s", c.reset.Load()+c.well.Load(), took.Round(time.Second), c.reset.Load(), c.well.Load(),
		after.since(before, "doit_gateway_closed_total"))
	t.Logf("%-32s %8s %8s %8s", "", "before", "at end", "rested")
	for _, name := range names {
		t.Logf("%-32s %8.0f %8.0f %8.0f", name, before[name], atEnd[name], after[name])
		if math.Abs(after[name]-before[name]) > off {
			t.Errorf("%s was %v and is %v", name, before[name], after[name])
		}
	}
	t.Logf("%-32s %8.1f %8s %8.1f", "heap, MiB", heapBefore, "", heapAfter)
	if heapAfter-heapBefore > grows {
		t.Errorf("the heap grew from %.1f to %.1f MiB", heapBefore, heapAfter)
	}
	for fault, n := range c.faults {
		t.Errorf("%d times, of those that were not reset: %s", n, fault)
	}
}

type churn struct {
	host        string
	reset, well atomic.Int64

	mu     sync.Mutex
	faults map[string]int // guarded by mu
}

// errMoment ends a page at its moment.
var errMoment = errors.New("its moment has come")

// page goes all the way, from the first byte to an upgrade, or is reset at a
// random step of it, a moment after that step.
func (c *churn) page(i int) {
	k := []siotest.Options{socket4, polling4, socket3, polling3, socket4, socket4}[rand.IntN(6)]
	last := math.MaxInt
	if i%2 == 0 {
		last = rand.IntN(9)
	}
	step := 0
	passed := func(err error) error { // by a step
		if err == nil && step == last {
			<-time.After(time.Duration(rand.IntN(2000)) * time.Microsecond)
			err = errMoment
		}
		step++
		return err
	}
	id := fmt.Sprint("churn", i)
	page, err := call(c.host, k)
	if err != nil {
		c.fault(err)
		return
	}
	var socket *siotest.Page // that takes over
	defer func() {
		for _, one := range []*siotest.Page{page, socket} {
			if one != nil && last < math.MaxInt {
				one.Reset()
			} else if one != nil {
				one.Close()
			}
		}
	}()
	err = passed(nil)
	greeting := page.Greeting()
	for _, part := range [][]byte{greeting[:len(greeting)/2], greeting[len(greeting)/2:]} {
		if err == nil {
			err = passed(page.Write(part))
		}
	}
	if err == nil {
		err = passed(page.ReadOpen())
	}
	if err == nil && k.EIO == 4 {
		err = passed(page.Send("40"))
	}
	if err == nil {
		err = page.Expect("40")
	}
	if err == nil {
		err = passed(page.Send(siotest.Registration(id)))
	}
	if err == nil {
		err = passed(page.Expect(siotest.Registered))
	}
	if err == nil && k.Polling {
		if socket, err = call(c.host, siotest.Options{EIO: k.EIO}); err == nil {
			socket.SID = page.SID
			err = upgrade(socket, passed)
		}
	}
	switch {
	case last < math.MaxInt: // whatever went wrong with it
		c.reset.Add(1)
	case err != nil:
		c.fault(fmt.Errorf("%v: %w", k, err))
	default:
		<-time.After(time.Duration(rand.IntN(2000)) * time.Millisecond)
		if socket != nil {
			page, socket = socket, page
		}
		page.Goodbye()
		c.well.Add(1)
	}
}

// upgrade makes a websocket the transport of its session, which does not poll.
func upgrade(socket *siotest.Page, passed func(error) error) error {
	err := passed(socket.Write(socket.Greeting()))
	if err == nil {
		err = socket.ReadUpgrade(time.Now().Add(patience))
	}
	if err == nil {
		err = passed(socket.Write(siotest.Frame("2probe")))
	}
	if err == nil {
		err = socket.Expect("3probe")
	}
	if err == nil {
		err = passed(socket.Write(siotest.Frame("5")))
	}
	return err
}

func (c *churn) fault(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults[err.Error()]++
}
