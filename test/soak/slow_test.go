//go:build soak

package soak

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/siotest"
	"github.com/ramainen/doit-socket/internal/wire"
)

const slowClosed = `doit_gateway_closed_total{reason="slow"}`

// A reader that stops, in every way there is, under 100 MB of messages, or half a million small ones: it is
// cut within 15 s, holds no more than its bound and 4 MiB, and its neighbours
// hear as fast as they do beside one that reads.
func TestSlowReaders(t *testing.T) {
	const (
		within  = 15 * time.Second
		bound   = 2 // MiB, --queue-bytes
		above   = 4 // MiB
		noise   = 3 // times the p99 beside a reader that reads
		atLeast = 50 * time.Millisecond
	)
	p := start(t, "embedded")
	n := newNeighbour(t, p, p)
	quiet, _, _ := n.during(func() { <-time.After(2 * time.Second) })
	t.Logf("%-34s %v", "neighbour, nothing else", quiet)
	for _, load := range []struct {
		name     string
		data     string
		messages int // in one emit: the id is named so often
		emits    int
		readers  []reader
	}{
		{"100 KB messages", `"` + strings.Repeat("x", 100_000) + `"`, 1, scaled(1000), readers},
		{"100 byte messages", `"` + strings.Repeat("x", 85) + `"`, wire.MaxRepeats, scaled(30_000), readers},
		// More than the kernel takes and less than the queue: it is the write deadline that cuts.
		{"5 MB and nothing more", `"` + strings.Repeat("x", 100_000) + `"`, 1, 50, readers[:4]},
	} {
		t.Run(load.name, func(t *testing.T) {
			var reference time.Duration
			for _, r := range load.readers {
				for again := false; ; again = true {
					s := &slow{program: p, id: strings.ReplaceAll(r.name, " ", "-"), messages: load.messages}
					events, machine, fault := s.run(t, n, r, load.data, load.emits)
					took := "not cut"
					if s.cut > 0 {
						took = fmt.Sprintf("cut after %.2fs and %.1f MB", s.cut.Seconds(), s.sent)
					}
					t.Logf("%-34s %v, machine %v; %s, heap +%.1f MiB at most", r.name, events, machine.at(1), took, s.peak)
					if fault != nil {
						t.Errorf("%s: the neighbour: %v", r.name, fault)
					}
					if r.reads {
						reference = events.at(.99)
						if s.cut > 0 {
							t.Errorf("%s: cut", r.name)
						}
						break
					}
					if s.cut == 0 || s.cut > within {
						t.Errorf("%s: cut after %v, allowed are %v", r.name, s.cut, within)
					}
					if s.last != "ERROR" {
						t.Errorf("%s: an emit is answered %s after it was cut", r.name, s.last)
					}
					if s.peak > bound+above {
						t.Errorf("%s: the heap grew by %.1f MiB, allowed are %d", r.name, s.peak, bound+above)
					}
					p99, allowed := events.at(.99), max(noise*reference, atLeast)
					if p99 > allowed && !again {
						t.Logf("the neighbour's p99 is %v, allowed are %v: once more, to tell it from noise", p99, allowed)
						continue
					}
					if p99 > allowed {
						t.Errorf("%s: the neighbour's p99 is %v, beside a reader that reads it is %v", r.name, p99, reference)
					}
					break
				}
			}
		})
	}
}

// A reader is what a browser may do with what it gets. read returns soon after
// stop is closed, or when the connection has ended.
type reader struct {
	name  string
	kind  siotest.Options
	reads bool // all of it; the first one, beside which the others are measured
	read  func(c *siotest.Page, stop <-chan struct{})
}

var readers = []reader{
	{"one that reads", socket4, true, func(c *siotest.Page, _ <-chan struct{}) {
		for {
			if _, err := c.Hear(time.Now().Add(patience)); err != nil {
				return
			}
		}
	}},
	{"stops silently", socket4, false, func(_ *siotest.Page, stop <-chan struct{}) { <-stop }},
	{"stops with blind pongs", socket4, false, blindly("3")},
	{"stops with blind pings, EIO 3", socket3, false, blindly("2")},
	{"stops polling", polling4, false, func(_ *siotest.Page, stop <-chan struct{}) { <-stop }},
	{"stops polling, EIO 3", polling3, false, func(_ *siotest.Page, stop <-chan struct{}) { <-stop }},
	{"polls, and reads no answer", polling4, false, func(c *siotest.Page, stop <-chan struct{}) {
		_ = c.Write(bytes.Repeat(c.Request("GET", ""), 100))
		<-stop
	}},
	{"one byte a second", socket4, false, byByte},
	{"one byte a second of its poll", polling4, false, byByte},
}

// blindly says the same packet all the time and reads nothing.
func blindly(packet string) func(c *siotest.Page, stop <-chan struct{}) {
	return func(c *siotest.Page, stop <-chan struct{}) {
		for tick := time.Tick(50 * time.Millisecond); ; {
			select {
			case <-tick:
				if c.Write(siotest.Frame(packet)) != nil {
					<-stop
					return
				}
			case <-stop:
				return
			}
		}
	}
}

func byByte(c *siotest.Page, stop <-chan struct{}) {
	if c.Polling {
		_ = c.Write(bytes.Repeat(c.Request("GET", ""), 100))
	}
	var b [1]byte
	for tick := time.Tick(time.Second); ; {
		select {
		case <-tick:
			c.Net.SetReadDeadline(time.Now().Add(time.Second))
			_, _ = io.ReadFull(c.Net, b[:])
		case <-stop:
			return
		}
	}
}

// slow is the load on one reader, and what it comes to.
type slow struct {
	program  *siotest.Program
	id       string
	messages int // in one emit: the id is named so often

	cut  time.Duration // from the first emit; 0 if it is not cut
	sent float64       // MB that were emitted until then
	peak float64       // MiB by which the heap grew meanwhile
	last string        // the answer to the emit after all others
}

// run lets a reader come and loads it, and tells how a neighbour fares meanwhile.
func (s *slow) run(t *testing.T, n *neighbour, r reader, data string, emits int) (events, machine times, fault error) {
	before, closed := heap(t, s.program, 2), read(t, s.program)[slowClosed]
	c, err := join(strings.TrimPrefix(s.program.URL, "http://"), r.kind, s.id)
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() { r.read(c, stop) })
	events, machine, fault = n.during(func() { s.load(t, r, data, emits, closed) })
	close(stop)
	c.Close()
	reading.Wait()
	s.peak -= before
	return events, machine, fault
}

// load emits, looks all the while at the heap and whether the reader is cut,
// and gives up 20 s after the last emit.
func (s *slow) load(t *testing.T, r reader, data string, emits int, closed float64) {
	e := newEmitter(s.program.URL)
	ids := slices.Repeat([]string{s.id}, s.messages)
	began := time.Now()
	var sent float64
	look := func() {
		s.peak = max(s.peak, heap(t, s.program, 1))
		if s.cut == 0 && read(t, s.program)[slowClosed] > closed {
			s.cut, s.sent = time.Since(began), sent
		}
	}
	next := time.Now()
	for i := range emits {
		_, s.last = e.emit(ids, "x", data)
		sent += float64(len(ids)*len(data)) / 1e6
		if i < 100 || time.Now().After(next) { // at first its queue fills
			look()
			next = time.Now().Add(200 * time.Millisecond)
		}
	}
	if !r.reads {
		await(2*patience, func() bool {
			look()
			return s.cut > 0
		})
	}
	_, s.last = e.emit(ids[:1], "x", "1")
}
