//go:build linux

package main

import (
	"fmt"
)

// fanOut emits to an id that all sockets hold, and again when each of them has heard it.
func (f *fixture) fanOut() error {
	f.renumber()
	answered := false
	e, err := f.newSender(f.server, func(*sender) error { answered = true; return nil })
	if err != nil {
		return err
	}
	defer f.drop(e.fd)
	var last times
	round := 0
	emit := func() error {
		before := f.ledger.heard
		answered, f.ledger.latencies = false, f.ledger.latencies[:0]
		if err := e.emit(f.loop, f.sockets[0].ids, payload(round, f.now()), taken); err != nil {
			return err
		}
		round++
		if err := f.until(patience, func() bool { return answered && f.ledger.heard-before == len(f.sockets) }); err != nil {
			return fmt.Errorf("%d of %d sockets have heard: %w", f.ledger.heard-before, len(f.sockets), err)
		}
		last = append(last, f.ledger.latencies[len(f.ledger.latencies)-1])
		return nil
	}
	f.ledger.keep = true
	for end := f.now() + *warm; f.now() < end; {
		if err := emit(); err != nil {
			return err
		}
	}
	last = nil
	m, err := f.meter()
	if err != nil {
		return err
	}
	for end := f.now() + *measured; f.now() < end; {
		if err := emit(); err != nil {
			return err
		}
	}
	f.figures["fanout.last_ms"] = millis(last.quantile(0.5))
	return m.read("fanout")
}
