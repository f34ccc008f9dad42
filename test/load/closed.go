package main

import (
	"fmt"
	"time"
)

const (
	// senders is how many pages emit at the same time in closed loop.
	senders = 8
	// unknownEach is one of how many emits goes to an id that nobody has.
	unknownEach = 20
)

// closed emits in closed loop: each sender waits for its answer before it emits
// again, to the next few of the sockets that are its own, as order is promised
// for emits one after the other's answer. All answers and all events are
// checked, and at the end that nothing is missing.
func (f *fixture) closed(scenario string, receivers int, profile string) error {
	f.renumber()
	var all []*sender
	due, before, ending := 0, f.ledger.heard, false
	for i := range senders {
		own := f.sockets[i*len(f.sockets)/senders : (i+1)*len(f.sockets)/senders]
		ids := make([]string, receivers)
		emits, at := 0, 0
		next := func(e *sender) error {
			if ending {
				return nil
			}
			if emits++; emits%unknownEach == 0 {
				return e.emit(f.loop, []string{fmt.Sprintf("nobody%d-%d", i, emits)}, payload(0, 0), nobody)
			}
			if at+receivers > len(own) {
				at = 0
			}
			number := own[at].sent
			for i, k := range own[at : at+receivers] {
				k.sent++
				ids[i] = k.ids[0]
			}
			at, due = at+receivers, due+receivers
			return e.emit(f.loop, ids, payload(number, f.now()), taken)
		}
		e, err := f.newSender(f.server, next)
		if err != nil {
			return err
		}
		defer f.drop(e.fd)
		all = append(all, e)
		if err := next(e); err != nil {
			return err
		}
	}
	if err := f.during(*warm); err != nil {
		return err
	}
	defer f.fetchProfile(profile, *measured)()
	m, err := f.meter()
	if err != nil {
		return err
	}
	if err := f.during(*measured); err != nil {
		return err
	}
	if err := m.read(scenario); err != nil {
		return err
	}
	ending = true
	if err := f.until(patience, func() bool { return !busy(all) && f.ledger.heard-before == due }); err != nil {
		return fmt.Errorf("%s: %d of %d events are heard: %w", scenario, f.ledger.heard-before, due, err)
	}
	return nil
}

// renumber lets the next event of each socket be its event 0. Nothing is under way.
func (f *fixture) renumber() {
	for _, k := range f.sockets {
		k.sent, k.next = 0, 0
	}
}

func busy(all []*sender) bool {
	for _, e := range all {
		if e.busy {
			return true
		}
	}
	return false
}

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

// openLoop emits at a constant rate, whatever the server does, and reports how
// long after its scheduled moment each event was heard: an emit that must wait
// for its turn is late by that, too.
func (f *fixture) openLoop(rate int) error {
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
		return fmt.Errorf("open loop: %d of %d events are heard: %w", f.ledger.heard-before, total, err)
	}
	f.ledger.keep = false
	latencies := times(f.ledger.latencies)
	f.figures["open.p50_ms"] = millis(latencies.quantile(0.5))
	f.figures["open.p99_ms"] = millis(latencies.quantile(0.99))
	f.figures["open.p999_ms"] = millis(latencies.quantile(0.999))
	return m.read("open")
}
