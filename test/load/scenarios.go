//go:build linux

package main

import (
	"fmt"
	"slices"
)

// A scenario starts a server of its own and measures some of its figures.
type scenario struct {
	name    string
	about   string
	servers []string // nil is all
	run     func(f *fixture) error
}

// rate is how many emits a second the open loop does.
const rate = 2000

// batch is how many receivers an emit to several has.
const batch = 100

var scenarios = []scenario{
	{"events", "connect storm, idle memory, single emits, several receivers, open loop", nil, func(f *fixture) error {
		if err := f.connect("idle", own(0, *sockets), f.add); err != nil {
			return err
		}
		if err := f.closed("single", 1, *profile); err != nil {
			return err
		}
		if err := f.closed("several", batch, ""); err != nil {
			return err
		}
		return f.openLoop("open", rate)
	}},
	{"fanout", "one emit to all sockets, and eight at a time", nil, func(f *fixture) error {
		if err := f.add(slices.Repeat([][]string{{"all"}}, *sockets)); err != nil {
			return err
		}
		if err := f.fanOut(); err != nil {
			return err
		}
		return f.crowd("crowd")
	}},
	{"polling", "idle sessions on polling", []string{"embedded", "node"}, func(f *fixture) error {
		if err := f.connect("polling", own(0, *sockets), f.addPollers); err != nil {
			return err
		}
		return f.account("polling", *sockets)
	}},
	{"many", "15,000 idle sockets", []string{"embedded", "node", "nchan"}, func(f *fixture) error {
		const n = 15_000
		if err := f.connect("many", own(0, n), f.add); err != nil {
			return err
		}
		return f.account("many", n)
	}},
	{"scale", "single emits at a growing number of sockets", []string{"embedded"}, func(f *fixture) error {
		at := 0
		for _, n := range []int{3000, 10_000, 19_500} {
			if err := f.add(own(at, n)); err != nil {
				return err
			}
			at = n
			if err := f.closed(fmt.Sprint("scale", n), 1, ""); err != nil {
				return err
			}
		}
		return nil
	}},
	{"rates", "emits at a growing rate, open loop", []string{"embedded"}, func(f *fixture) error {
		if err := f.add(own(0, *sockets)); err != nil {
			return err
		}
		for _, n := range []int{100, 1000, 5000, 10_000} {
			if err := f.openLoop(fmt.Sprint("rate", n), n); err != nil {
				return err
			}
		}
		return nil
	}},
}
