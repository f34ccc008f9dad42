//go:build linux

package main

import (
	"errors"
	"fmt"
	"time"
)

// The large scenario is a hundred thousand sockets on six gateways, each with
// ten ids: a million subscriptions on one nats-server. One ingest has the emits.
const (
	largeGateways = 6
	largeSockets  = 100_000
	largeIDs      = 10
	// largeMemory bounds what the servers may take, in bytes.
	largeMemory = 16 << 30
)

// large measures it and reports.
func (r *report) large(stop <-chan struct{}, b *build) error {
	figures, err := measureLarge(stop, b)
	if err != nil {
		return fmt.Errorf("large: %w", err)
	}
	r.add("programs", figures)
	r.Took = time.Since(r.Date).Round(time.Second).String()
	fmt.Printf("%s%s", r.head(), r.table())
	if *docs == "" {
		return nil
	}
	return r.write(*docs, "large", r.table())
}

func measureLarge(stop <-chan struct{}, b *build) (Figures, error) {
	s, gateways, err := startCluster(b, largeGateways)
	if err != nil {
		return nil, err
	}
	defer s.processes.stop()
	l, err := newLoop(stop)
	if err != nil {
		return nil, err
	}
	defer l.close()
	f := &fixture{loop: l, server: s, ledger: &ledger{}, figures: Figures{}}
	nats, holders := s.processes[:1], s.processes[1:1+largeGateways]
	natsEmpty, err := nats.rss()
	if err != nil {
		return nil, err
	}
	holdersEmpty, err := holders.rss()
	if err != nil {
		return nil, err
	}
	cpu, err := s.processes.cpu()
	if err != nil {
		return nil, err
	}

	var children []*child
	defer func() {
		for _, c := range children {
			c.end()
		}
	}()
	began := f.now()
	for i, gateway := range gateways {
		j := job{gateway, i * largeSockets / largeGateways, (i + 1) * largeSockets / largeGateways, largeIDs}
		c, err := startChild(j)
		if err != nil {
			return nil, err
		}
		children = append(children, c)
		for n := j.From; n < j.To; n++ {
			f.sockets = append(f.sockets, &socket{ids: j.idsOf(n)[:1]})
		}
	}
	for _, c := range children {
		if _, err := c.tally(); err != nil {
			return nil, err
		}
		if rss, err := s.processes.rss(); err != nil || rss > largeMemory {
			return nil, errors.Join(err, fmt.Errorf("the servers take %d MiB", rss>>20))
		}
	}
	f.figures["large.connects_per_second"] = largeSockets / (f.now() - began).Seconds()
	after, err := s.processes.cpu()
	if err != nil {
		return nil, err
	}
	f.figures["large.connect_cpu_us"] = micros(after-cpu) / largeSockets
	if _, err := f.resting(); err != nil {
		return nil, err
	}
	natsFull, err := nats.rss()
	if err != nil {
		return nil, err
	}
	holdersFull, err := holders.rss()
	if err != nil {
		return nil, err
	}
	f.figures["large.gateways_kib_per_socket"] = float64(holdersFull-holdersEmpty) / largeSockets / 1024
	f.figures["large.nats_bytes_per_subscription"] = float64(natsFull-natsEmpty) / (largeSockets * largeIDs)
	f.figures["large.nats_mib"] = float64(natsFull) / (1 << 20)

	f.count = func() error {
		f.ledger.heard = 0
		for _, c := range children {
			t, err := c.ask()
			if err != nil {
				return err
			}
			f.ledger.heard += t.Heard
		}
		return nil
	}
	return f.figures, f.closed("large", 1, "")
}
