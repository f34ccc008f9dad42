//go:build linux

package main

import (
	"errors"
	"fmt"
)

const (
	// senders is how many pages emit at the same time in closed loop.
	senders = 8
	// unknownEach is one of how many emits goes to an id that nobody has, and
	// unknownIDs how many such ids a sender knows: nchan's shared memory is
	// full after some ten thousand.
	unknownEach = 20
	unknownIDs  = 100
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
				return e.emit(f.loop, []string{fmt.Sprintf("nobody%d-%d", i, emits/unknownEach%unknownIDs)}, payload(0, 0), nobody)
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
	defer f.profiling(profile, *measured)()
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
	var fault error
	err = f.until(patience, func() bool {
		if busy(all) {
			return false
		}
		fault = f.counted()
		return fault != nil || f.ledger.heard-before == due
	})
	if err = errors.Join(err, fault); err != nil {
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
