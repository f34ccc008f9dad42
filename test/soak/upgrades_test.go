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

// 1,000 sessions in groups of 100 move from polling to websocket while each
// gets 100 numbered messages a second: every one hears all, once, in order.
func TestUpgrades(t *testing.T) {
	for _, k := range []siotest.Options{polling3, polling4} {
		t.Run(fmt.Sprintf("EIO %d", k.EIO), func(t *testing.T) {
			p := start(t, "embedded")
			total := upgrades{faults: make(map[string]int)}
			sessions := scaled(1000)
			for first := 0; first < sessions; first += 100 {
				total.group(p, k, first, min(100, sessions-first))
			}
			t.Logf("%d sessions, %d upgraded under %.0f messages a second each; heard %d on polling and %d on websocket: %d lost, %d doubled, %d reordered",
				sessions, total.upgraded, total.rate(), total.onPolling, total.onSocket, total.lost, total.doubled, total.reordered)
			t.Logf("probe to websocket   %v", total.took)
			for fault, n := range total.faults {
				t.Errorf("%d times: %s", n, fault)
			}
			if total.lost+total.doubled+total.reordered > 0 || total.upgraded != sessions {
				t.Fail()
			}
			if total.rate() < 90 {
				t.Errorf("only %.0f messages a second: this machine is too busy to show anything", total.rate())
			}
		})
	}
}

type upgrades struct {
	sent   int           // messages to each session, over all groups
	during time.Duration // in which they were sent

	mu sync.Mutex
	// Guarded by mu.
	upgraded, onPolling, onSocket int
	lost, doubled, reordered      int
	took                          times
	faults                        map[string]int
}

func (u *upgrades) rate() float64 { return float64(u.sent) / u.during.Seconds() }

func (u *upgrades) group(p *siotest.Program, k siotest.Options, first, size int) {
	const (
		pace   = 10 * time.Millisecond
		before = 500 * time.Millisecond // of messages, and then
		spread = time.Second            // in which the upgrades begin, and then
		after  = time.Second
	)
	host := strings.TrimPrefix(p.URL, "http://")
	ids := make([]string, size)
	var ready, pages sync.WaitGroup
	begin := make(chan struct{})
	for i := range size {
		ids[i] = fmt.Sprintf("up%d-%d", k.EIO, first+i)
		ready.Add(1)
		pages.Go(func() {
			page, err := join(host, k, ids[i])
			ready.Done()
			if err != nil {
				u.fault(err)
				return
			}
			<-begin
			u.page(page, before+spread*time.Duration(i)/time.Duration(size), i%2 == 0)
		})
	}
	ready.Wait()

	e := newEmitter(p.URL)
	close(begin)
	began := time.Now()
	n := 0
	for tick := time.Tick(pace); time.Since(began) < before+spread+after; <-tick {
		// One after the other's answer: only those are promised in order. What a
		// slow answer holds up is caught up with.
		for due := int(time.Since(began) / pace); n <= due; n++ {
			if _, answer := e.emit(ids, "n", fmt.Sprint(n)); answer != "OK" {
				u.fault(fmt.Errorf("message %d: %s", n, answer))
			}
		}
	}
	u.sent += n
	u.during += time.Since(began)
	e.emit(ids, "end", fmt.Sprint(n))
	pages.Wait()
}

func (u *upgrades) fault(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.faults[err.Error()]++
}

// A moving page polls in its own goroutine while another asks for the websocket.
type moving struct {
	*siotest.Page
	socket  *siotest.Page
	pause   atomic.Bool   // the poll that waits is the last one
	paused  chan struct{} // closed when it has ended
	moved   chan error
	n       int // the message that comes next
	heard   [2]int
	doubled int
	late    int
	missing map[int]bool
}

// page hears all messages, and moves after a while, as published clients do:
// 2probe, 3probe, no further poll, 5 when the last has ended. An eager one
// sends 2probe behind the handshake's request, before any answer.
func (u *upgrades) page(page *siotest.Page, wait time.Duration, eager bool) {
	m := &moving{Page: page, paused: make(chan struct{}), moved: make(chan error, 1), missing: make(map[int]bool)}
	defer page.Close()
	go func() {
		<-time.After(wait)
		began := time.Now()
		err := m.move(eager)
		m.moved <- err
		if err == nil {
			u.mu.Lock()
			u.took = append(u.took, time.Since(began))
			u.mu.Unlock()
		}
	}()
	err := m.hearAll()
	u.mu.Lock()
	defer u.mu.Unlock()
	if m.socket != nil {
		u.upgraded++
		m.socket.Close()
	}
	u.onPolling += m.heard[0]
	u.onSocket += m.heard[1]
	u.lost += len(m.missing)
	u.doubled += m.doubled
	u.reordered += m.late
	if err == nil && (m.heard[0] == 0 || m.heard[1] == 0) {
		err = fmt.Errorf("did not hear on both")
	}
	if err != nil {
		u.faults[err.Error()]++
	}
}

// move opens the websocket and makes it the transport.
func (m *moving) move(eager bool) error {
	c, err := call(m.Host, siotest.Options{EIO: m.EIO})
	if err != nil {
		return err
	}
	c.SID = m.SID
	greeting := c.Greeting()
	if eager {
		greeting = append(greeting, siotest.Frame("2probe")...)
	}
	err = c.Write(greeting)
	if err == nil {
		err = c.ReadUpgrade(time.Now().Add(patience))
	}
	if err == nil && !eager {
		err = c.Write(siotest.Frame("2probe"))
	}
	if err == nil {
		err = c.Expect("3probe")
	}
	if err != nil {
		c.Close()
		return fmt.Errorf("probe: %w", err)
	}
	m.pause.Store(true)
	select {
	case <-m.paused:
	case <-time.After(patience):
		c.Close()
		return errors.New("the last poll did not end")
	}
	if err := c.Write(siotest.Frame("5")); err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	m.socket = c
	return nil
}

// hearAll hears every message until the end, on polling and then on the websocket.
func (m *moving) hearAll() error {
	deadline := time.Now().Add(3 * patience)
	for {
		// Between its polls the page sees that it is to pause.
		if m.pause.Load() && m.Buffered() == 0 {
			break
		}
		packet, err := m.Receive(deadline)
		if err != nil {
			return fmt.Errorf("poll: %w", err)
		}
		if done, err := m.take(packet, 0); done || err != nil {
			return err
		}
	}
	close(m.paused)
	if err := <-m.moved; err != nil {
		return err
	}
	for {
		packet, err := m.socket.Next(deadline)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return errors.New("deaf on websocket")
		}
		if err != nil {
			return fmt.Errorf("websocket: %w", err)
		}
		if done, err := m.take(packet, 1); done || err != nil {
			return err
		}
	}
}

// take counts a packet that came on a transport: 0 is polling, 1 websocket.
func (m *moving) take(packet string, transport int) (done bool, err error) {
	var n int
	if _, err := fmt.Sscanf(packet, `42["end",%d]`, &n); err == nil {
		for ; m.n < n; m.n++ {
			m.missing[m.n] = true
		}
		return true, nil
	}
	if _, err := fmt.Sscanf(packet, `42["n",%d]`, &n); err != nil {
		if packet == "6" {
			return false, nil
		}
		return false, fmt.Errorf("got %.80q", packet)
	}
	m.heard[transport]++
	switch {
	case n >= m.n:
		for ; m.n < n; m.n++ {
			m.missing[m.n] = true
		}
		m.n++
	case m.missing[n]:
		delete(m.missing, n)
		m.late++
	default:
		m.doubled++
	}
	return false, nil
}
