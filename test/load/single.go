package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// senders is how many pages emit at the same time in closed loop.
const senders = 8

// each is which emits go to an id that nobody has: one of so many.
const unknownEach = 20

// connectAll opens a socket for each list of ids, inflight at a time, and waits until all are registered.
func connectAll(l *loop, s *server, ids [][]string, ledger *ledger) ([]*socket, error) {
	const inflight = 256
	sockets := make([]*socket, 0, len(ids))
	before := ledger.ready
	var fault error
	err := l.until(2*time.Minute, func() bool {
		for fault == nil && len(sockets) < len(ids) && len(sockets)-(ledger.ready-before) < inflight {
			var k *socket
			k, fault = l.open(s, ids[len(sockets)], ledger)
			sockets = append(sockets, k)
		}
		return fault != nil || ledger.ready-before == len(ids)
	})
	if fault != nil {
		return nil, fault
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %d of %d sockets are registered: %w", s.name, ledger.ready-before, len(ids), err)
	}
	return sockets, nil
}

// own are n lists with one id each.
func own(prefix string, n int) [][]string {
	ids := make([][]string, n)
	for i := range ids {
		ids[i] = []string{fmt.Sprint(prefix, i)}
	}
	return ids
}

// single emits in closed loop, one receiver an emit, each socket in its turn,
// and reports CPU per event. Every answer is checked, every event, and at the
// end that nothing is missing.
func single(l *loop, s *server, sockets []*socket, ledger *ledger, warm, measured time.Duration, profile string) (Figures, error) {
	sent, ending := 0, false
	counts := make([]int, len(sockets)) // emits to each socket
	for i, k := range sockets {
		counts[i] = k.next
	}
	var all []*sender
	turn, unknown := 0, 0
	next := func(l *loop, e *sender) error {
		if ending {
			return nil
		}
		turn++
		if turn%unknownEach == 0 {
			unknown++
			return e.emit(l, []string{fmt.Sprint("nobody", unknown)}, payload(0, 0), nobody)
		}
		i := sent % len(sockets)
		sent++
		counts[i]++
		return e.emit(l, sockets[i].ids, payload(counts[i]-1, l.now()), taken)
	}
	heard := ledger.heard
	for range senders {
		e, err := l.newSender(s, next)
		if err != nil {
			return nil, err
		}
		defer l.drop(e.fd)
		all = append(all, e)
		if err := next(l, e); err != nil {
			return nil, err
		}
	}
	if err := l.during(warm); err != nil {
		return nil, err
	}
	if profile != "" {
		defer fetchProfile(s, profile, measured)()
	}
	meter, err := newMeter(l, s, ledger)
	if err != nil {
		return nil, err
	}
	if err := l.during(measured); err != nil {
		return nil, err
	}
	figures, err := meter.read(l, "single")
	if err != nil {
		return nil, err
	}
	ending = true
	err = l.until(patience, func() bool {
		for _, e := range all {
			if e.busy {
				return false
			}
		}
		return ledger.heard-heard == sent
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %d of %d events heard: %w", s.name, ledger.heard-heard, sent, err)
	}
	return figures, nil
}

// A meter measures from when it is made to when it is read.
type meter struct {
	s      *server
	ledger *ledger
	began  time.Duration
	cpu    time.Duration
	heard  int
	client time.Duration
}

func newMeter(l *loop, s *server, ledger *ledger) (*meter, error) {
	cpu, err := s.processes.cpu()
	return &meter{s: s, ledger: ledger, began: l.now(), cpu: cpu, heard: ledger.heard, client: clientCPU()}, err
}

func (m *meter) read(l *loop, name string) (Figures, error) {
	cpu, err := m.s.processes.cpu()
	if err != nil {
		return nil, err
	}
	heard := float64(m.ledger.heard - m.heard)
	return Figures{
		name + ".cpu_us":    micros(cpu-m.cpu) / heard,
		name + ".rate":      heard / (l.now() - m.began).Seconds(),
		name + ".client_us": micros(clientCPU()-m.client) / heard,
	}, nil
}

// Figures are what a run has measured, by name: scenario.quantity_unit.
type Figures map[string]float64

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// fetchProfile takes a CPU profile of ours meanwhile. It returns what waits for it.
func fetchProfile(s *server, file string, d time.Duration) (wait func()) {
	fetched := make(chan struct{})
	go func() {
		defer close(fetched)
		if !s.admin.IsValid() {
			return
		}
		resp, err := http.Get(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%.0f", s.admin, d.Seconds()))
		if err != nil {
			fmt.Fprintln(os.Stderr, "profile:", err)
			return
		}
		defer resp.Body.Close()
		out, err := os.Create(file)
		if err == nil {
			_, err = io.Copy(out, resp.Body)
			out.Close()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "profile:", err)
		}
	}()
	return func() { <-fetched }
}
