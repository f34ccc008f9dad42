//go:build linux

package main

import (
	"fmt"
	"time"
)

// A fixture is a server under measurement, with its sockets.
type fixture struct {
	*loop
	server  *server
	sockets []*socket
	ledger  *ledger
	figures Figures
	count   func() error // brings the ledger up to date, where the sockets are in other processes; or nil
}

// Figures are what a run has measured, by name: scenario.quantity_unit.
type Figures map[string]float64

// with starts a server, has it measured and stops it.
func with(stop <-chan struct{}, b *build, k kind, figures Figures, measure func(*fixture) error) error {
	s, err := k.start(b)
	if err != nil {
		return err
	}
	defer s.processes.stop()
	s.name = k.name
	l, err := newLoop(stop)
	if err != nil {
		return err
	}
	defer l.close()
	if err := measure(&fixture{loop: l, server: s, ledger: &ledger{}, figures: figures}); err != nil {
		for _, p := range s.processes {
			const most = 2000
			said := p.output.Bytes()
			err = fmt.Errorf("%w\n%s", err, said[max(0, len(said)-most):])
		}
		return fmt.Errorf("%s: %w", k.name, err)
	}
	return nil
}

// inflight is how many sockets may be on their way to being registered: less
// than any server's backlog.
const inflight = 256

// add opens a socket for each list of ids, as fast as they come, and waits until all are registered.
func (f *fixture) add(ids [][]string) error {
	before, opened := f.ledger.ready, 0
	var fault error
	err := f.until(2*time.Minute, func() bool {
		for fault == nil && opened < len(ids) && opened-(f.ledger.ready-before) < inflight {
			var k *socket
			k, fault = f.open(f.server, ids[opened], f.ledger)
			f.sockets = append(f.sockets, k)
			opened++
		}
		return fault != nil || f.ledger.ready-before == len(ids)
	})
	if fault != nil {
		return fault
	}
	if err != nil {
		return fmt.Errorf("%d of %d sockets are registered: %w", f.ledger.ready-before, len(ids), err)
	}
	// nchan does not say when a subscriber is one: its handshake is answered before.
	return f.during(time.Second)
}

// own are the lists of ids for sockets from to to, one for each.
func own(from, to int) [][]string {
	var ids [][]string
	for i := from; i < to; i++ {
		ids = append(ids, []string{fmt.Sprint("u", i)})
	}
	return ids
}

// A meter measures CPU from when it is made to when it is read.
type meter struct {
	f      *fixture
	began  time.Duration
	server time.Duration
	client time.Duration
	heard  int
}

func (f *fixture) meter() (*meter, error) {
	if err := f.counted(); err != nil {
		return nil, err
	}
	cpu, err := f.server.processes.cpu()
	return &meter{f: f, began: f.now(), server: cpu, client: clientCPU(), heard: f.ledger.heard}, err
}

// read notes what a scenario has cost, for each event that was heard meanwhile.
func (m *meter) read(scenario string) error {
	cpu, err := m.f.server.processes.cpu()
	if err := m.f.counted(); err != nil {
		return err
	}
	heard := float64(m.f.ledger.heard - m.heard)
	m.f.figures[scenario+".cpu_us"] = micros(cpu-m.server) / heard
	m.f.figures[scenario+".client_us"] = micros(clientCPU()-m.client) / heard
	m.f.figures[scenario+".per_second"] = heard / (m.f.now() - m.began).Seconds()
	return err
}

func (f *fixture) counted() error {
	if f.count == nil {
		return nil
	}
	return f.count()
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
