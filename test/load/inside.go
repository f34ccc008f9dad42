//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// What ours says of itself on its private listener: never a figure that is
// compared, only what explains one.

// profiling takes a CPU profile of ours for a time, if there is a file for it. It returns what waits for it.
func (f *fixture) profiling(file string, d time.Duration) (wait func()) {
	if file == "" || !f.server.admin.IsValid() {
		return func() {}
	}
	fetched := make(chan struct{})
	go func() {
		defer close(fetched)
		if err := f.fetch(fmt.Sprintf("/debug/pprof/profile?seconds=%.0f", d.Seconds()), file); err != nil {
			fmt.Fprintln(os.Stderr, "profile:", err)
		}
	}()
	return func() { <-fetched }
}

func (f *fixture) fetch(path, file string) error {
	resp, err := http.Get(fmt.Sprintf("http://%s%s", f.server.admin, path))
	if err != nil {
		return fmt.Errorf("ask the private listener: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	out, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("keep what it says: %w", err)
	}
	_, err = io.Copy(out, resp.Body)
	return errors.Join(err, out.Close())
}

// account says what the memory of n idle sockets of ours is: live heap and
// stacks; what there is beyond in their RSS is garbage, gaps, and the runtime's tables.
func (f *fixture) account(scenario string, n int) error {
	if !f.server.admin.IsValid() {
		return nil
	}
	file := *heap
	if file == "" {
		file = os.DevNull
	}
	if err := f.fetch("/debug/pprof/heap?gc=1", file); err != nil { // collects garbage
		return err
	}
	resp, err := http.Get(fmt.Sprintf("http://%s/metrics", f.server.admin))
	if err != nil {
		return fmt.Errorf("ask the private listener: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		var bytes float64
		for metric, figure := range map[string]string{"go_memstats_heap_alloc_bytes ": "live_kib", "go_memstats_stack_inuse_bytes ": "stacks_kib", "go_goroutines ": "goroutines"} {
			after, ok := strings.CutPrefix(lines.Text(), metric)
			if !ok {
				continue
			}
			if _, err := fmt.Sscan(after, &bytes); err != nil {
				return fmt.Errorf("read %q: %w", lines.Text(), err)
			}
			if figure != "goroutines" {
				bytes /= 1024
			}
			f.figures[scenario+"."+figure] = bytes / float64(n)
		}
	}
	return nil
}
