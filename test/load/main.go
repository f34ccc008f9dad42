// load measures doit-socket and its peers side by side: CPU and memory of the
// servers from the operating system, latencies from the clock of this process.
//
//	cd test/load && npm ci --prefix peers/node && go run . -runs 3
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

var (
	runs     = flag.Int("runs", 3, "how often each server is measured, in turns")
	names    = flag.String("servers", "", "which servers, with commas between them; all that are installed, by default")
	root     = flag.String("root", "../..", "where the repository is")
	warm     = flag.Duration("warm", time.Second, "how long before a figure is measured")
	measured = flag.Duration("measured", 5*time.Second, "how long it is measured")
	count    = flag.Int("sockets", 3000, "sockets that are connected")
	profile  = flag.String("profile", "", "a file for a CPU profile of doit-socket while single emits are measured")
)

func main() {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	b, err := newBuild(ctx, *root)
	if err != nil {
		return err
	}
	defer b.remove()
	chosen := kinds
	if *names != "" {
		chosen = slices.DeleteFunc(slices.Clone(kinds), func(k kind) bool { return !slices.Contains(strings.Split(*names, ","), k.name) })
	}
	for n := range *runs {
		for _, k := range chosen {
			if err := ctx.Err(); err != nil {
				return err
			}
			f, err := measure(b, k)
			if err != nil {
				return err
			}
			fmt.Printf("run %d  %-10s", n+1, k.name)
			keys := make([]string, 0, len(f))
			for key := range f {
				keys = append(keys, key)
			}
			slices.Sort(keys)
			for _, key := range keys {
				fmt.Printf("  %s %.1f", key, f[key])
			}
			fmt.Println()
		}
	}
	return nil
}

// measure starts a server and measures it.
func measure(b *build, k kind) (Figures, error) {
	s, err := k.start(b)
	if err != nil {
		return nil, err
	}
	defer s.processes.stop()
	s.name = k.name
	l, err := newLoop()
	if err != nil {
		return nil, err
	}
	defer l.close()
	book := &ledger{}
	sockets, err := connectAll(l, s, own("u", *count), book)
	if err != nil {
		return nil, err
	}
	// nchan does not say when a subscriber is one: its handshake is answered before.
	if err := l.during(time.Second); err != nil {
		return nil, err
	}
	return single(l, s, sockets, book, *warm, *measured, *profile)
}

// clientCPU is what this process has used.
func clientCPU() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
