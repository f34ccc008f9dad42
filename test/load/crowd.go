//go:build linux

package main

import (
	"errors"
	"fmt"
	"time"
)

// A crowd is a number of pages that emit at the same time to an id that all sockets hold.
type crowd struct {
	order []int   // of all events, as the first socket to hear each has it
	heard []int   // how many sockets have heard the event, by place in order
	pages []*page // an event's number says which page's it is, and its how manieth
	all   int     // sockets
}

// A page emits again when its emit is answered and every socket has heard the event.
type page struct {
	*sender
	emits  int  // so far
	heard  int  // of them, by any socket
	everys bool // every socket has heard the last
}

var errOrder = errors.New("another order than others have it in")

// check has all sockets hear all events, in one order, and each page's in the order of its emits.
func (c *crowd) check(k *socket, number int) error {
	p := c.pages[number%len(c.pages)]
	if k.next == len(c.order) {
		if p.heard == p.emits || number/len(c.pages) != p.heard {
			return errors.New("it has been heard, or not been emitted")
		}
		p.heard++
		c.order, c.heard = append(c.order, number), append(c.heard, 0)
	}
	if c.order[k.next] != number {
		return errOrder
	}
	c.heard[k.next]++
	p.everys = c.heard[k.next] == c.all
	return nil
}

// crowd has eight pages emit to an id that all sockets hold.
func (f *fixture) crowd(scenario string) error {
	f.renumber()
	c := &crowd{all: len(f.sockets)}
	f.ledger.check = c.check
	defer func() { f.ledger.check = nil }()
	for range senders {
		e, err := f.newSender(f.server, func(*sender) error { return nil })
		if err != nil {
			return err
		}
		defer f.drop(e.fd)
		c.pages = append(c.pages, &page{sender: e, everys: true})
	}
	run := func(d time.Duration, emits bool) error {
		var fault error
		end := f.now() + d
		err := f.until(d+patience, func() bool {
			busy := false
			for i, p := range c.pages {
				if emits && p.everys && !p.busy && f.now() < end {
					number := p.emits*len(c.pages) + i
					p.emits, p.everys = p.emits+1, false
					fault = errors.Join(fault, p.emit(f.loop, f.sockets[0].ids, payload(number, f.now()), taken))
				}
				busy = busy || p.busy || !p.everys
			}
			return fault != nil || f.now() >= end && (emits || !busy)
		})
		return errors.Join(err, fault)
	}
	if err := run(*warm, true); err != nil {
		return err
	}
	f.ledger.keep, f.ledger.latencies = true, f.ledger.latencies[:0]
	m, err := f.meter()
	if err != nil {
		return err
	}
	if err := run(*measured, true); err != nil {
		return err
	}
	if err := m.read(scenario); err != nil {
		return err
	}
	f.ledger.keep = false
	f.figures[scenario+".p50_ms"] = millis(times(f.ledger.latencies).quantile(0.5))
	f.figures[scenario+".p99_ms"] = millis(times(f.ledger.latencies).quantile(0.99))
	if err := run(0, false); err != nil {
		return fmt.Errorf("%s: not every socket has heard every event: %w", scenario, err)
	}
	return nil
}
