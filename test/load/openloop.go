//go:build linux

package main

import (
	"fmt"
	"time"
)

// openLoop emits at a constant rate, whatever the server does, and reports how
// long after its scheduled moment each event was heard: an emit that must wait
// for its turn is late by that, too.
func (f *fixture) openLoop(scenario string, rate int) error {
	const connections = 64
	f.renumber()
	var free, all []*sender
	emits, before := 0, f.ledger.heard
	interval := time.Second / time.Duration(rate)
	total := rate * int((*warm + *measured).Seconds())
	began := f.now()
	// pump emits what is due on connections that are free.
	pump := func() error {
		for emits < total && len(free) > 0 {
			at := began + time.Duration(emits)*interval
			if at > f.now() {
				return nil
			}
			e := free[len(free)-1]
			free = free[:len(free)-1]
			k := f.sockets[emits%len(f.sockets)]
			k.sent++
			emits++
			if err := e.emit(f.loop, k.ids, payload(k.sent-1, at), taken); err != nil {
				return err
			}
		}
		return nil
	}
	for range connections {
		e, err := f.newSender(f.server, func(e *sender) error {
			free = append(free, e)
			return pump()
		})
		if err != nil {
			return err
		}
		defer f.drop(e.fd)
		free, all = append(free, e), append(all, e)
	}
	began = f.now()
	clock, err := f.every(interval, pump)
	if err != nil {
		return err
	}
	defer f.drop(clock)
	if err := f.during(*warm); err != nil {
		return err
	}
	f.ledger.keep, f.ledger.latencies = true, nil
	m, err := f.meter()
	if err != nil {
		return err
	}
	if err := f.until(*measured+patience, func() bool { return emits == total && !busy(all) && f.ledger.heard-before == total }); err != nil {
		return fmt.Errorf(scenario+": %d of %d events are heard: %w", f.ledger.heard-before, total, err)
	}
	f.ledger.keep = false
	latencies := times(f.ledger.latencies)
	f.figures[scenario+".p50_ms"] = millis(latencies.quantile(0.5))
	f.figures[scenario+".p99_ms"] = millis(latencies.quantile(0.99))
	f.figures[scenario+".p999_ms"] = millis(latencies.quantile(0.999))
	return m.read(scenario)
}
