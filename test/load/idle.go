//go:build linux

package main

import (
	"time"
)

// resting waits until the server's memory changes no more, a quarter of a
// minute at most, and returns it in bytes.
func (f *fixture) resting() (float64, error) {
	const step, steps, still = 250 * time.Millisecond, 60, 8
	var sizes []float64
	for range steps {
		if err := f.during(step); err != nil {
			return 0, err
		}
		rss, err := f.server.processes.rss()
		if err != nil {
			return 0, err
		}
		sizes = append(sizes, float64(rss))
		if n := len(sizes); n > still && sizes[n-1] < 1.002*sizes[n-1-still] && sizes[n-1] > 0.998*sizes[n-1-still] {
			break
		}
	}
	return sizes[len(sizes)-1], nil
}

// connect adds sockets as fast as they come and reports rate, CPU and, when the
// server has come to rest, what memory each took.
func (f *fixture) connect(scenario string, ids [][]string, add func([][]string) error) error {
	empty, err := f.resting()
	if err != nil {
		return err
	}
	cpu, err := f.server.processes.cpu()
	if err != nil {
		return err
	}
	began := f.now()
	if err := add(ids); err != nil {
		return err
	}
	took := f.ledger.readyAt - began
	after, err := f.server.processes.cpu()
	if err != nil {
		return err
	}
	full, err := f.resting()
	if err != nil {
		return err
	}
	n := float64(len(ids))
	f.figures[scenario+".connects_per_second"] = n / took.Seconds()
	f.figures[scenario+".connect_cpu_us"] = micros(after-cpu) / n
	f.figures[scenario+".rss_kib"] = (full - empty) / n / 1024
	f.figures[scenario+".empty_mib"] = empty / (1 << 20)
	return nil
}
