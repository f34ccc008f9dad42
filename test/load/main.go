//go:build linux

// load measures doit-socket and its peers side by side: CPU and memory of the
// servers from the operating system, latencies from the clock of this process.
// docs/benchmarks.md says how, and has what came of it.
//
//	make bench                                     all of it, and the document
//	go run . -scenarios events -servers embedded   a part, on the terminal
package main

import (
	"context"
	"errors"
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
	only     = flag.String("servers", "", "which servers, with commas between them; all that are installed, by default")
	which    = flag.String("scenarios", "", "which scenarios, with commas between them; all, by default")
	root     = flag.String("root", "../..", "where the repository is")
	docs     = flag.String("docs", "", "the folder whose benchmarks.md gets the figures")
	warm     = flag.Duration("warm", time.Second, "how long a scenario runs before it is measured")
	measured = flag.Duration("measured", 3*time.Second, "how long it is measured")
	sockets  = flag.Int("sockets", 3000, "sockets that are connected; with another number the goals mean nothing")
	huge     = flag.Bool("large", false, "measure 100,000 sockets with 1,000,000 ids on several gateways, and nothing else")
	holds    = flag.String("job", "", "what a child of this program holds; not for you")
	profile  = flag.String("profile", "", "a file for a CPU profile of doit-socket while single emits are measured")
	heap     = flag.String("heap", "", "a file for a heap profile of doit-socket with idle sockets")
)

func main() {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if *holds != "" {
		return serveJob(ctx.Done(), *holds)
	}
	for _, name := range append(names(*which), names(*only)...) {
		if !slices.ContainsFunc(scenarios, func(s scenario) bool { return s.name == name }) &&
			!slices.ContainsFunc(kinds, func(k kind) bool { return k.name == name }) {
			return fmt.Errorf("there is no scenario and no server %q", name)
		}
	}
	b, err := newBuild(ctx, *root)
	if err != nil {
		return err
	}
	defer b.remove()
	r := newReport(ctx, *root)
	if *huge {
		return r.large(ctx.Done(), b)
	}
	var chosen []kind
	for _, k := range kinds {
		switch why := k.missing(); {
		case *only != "" && !slices.Contains(names(*only), k.name):
		case why != "":
			r.Missing = append(r.Missing, fmt.Sprintf("%s: %s", k.about, why))
			fmt.Printf("not measured: %s: %s\n", k.about, why)
		default:
			chosen = append(chosen, k)
		}
	}
	if err := r.measure(ctx.Done(), b, chosen); err != nil {
		return err
	}
	r.Took = time.Since(r.Date).Round(time.Second).String()
	verdict, failed := r.verdict()
	text := fmt.Sprintf("Medians of %d runs.\n\n%s\n%s", *runs, r.table(), verdict)
	for _, missing := range r.Missing {
		text += "\nNot measured: " + missing + ".\n"
	}
	for _, fault := range r.Faults {
		text += "\nFailed, and not in the figures: " + fault + "\n"
	}
	fmt.Printf("\n%s%s", r.head(), text)
	if *docs != "" {
		if err := r.write(*docs, "figures", text); err != nil {
			return err
		}
	}
	switch {
	case len(r.Faults) > 0:
		return fmt.Errorf("%d parts failed, see above", len(r.Faults))
	case failed:
		return errors.New("a goal is missed")
	}
	return nil
}

// measure takes all scenarios of all servers in turns, as often as there are runs.
func (r *report) measure(stop <-chan struct{}, b *build, chosen []kind) error {
	for n := range *runs {
		for _, sc := range scenarios {
			if *which != "" && !slices.Contains(names(*which), sc.name) {
				continue
			}
			for _, k := range chosen {
				if sc.servers != nil && !slices.Contains(sc.servers, k.name) {
					continue
				}
				figures := Figures{}
				err := with(stop, b, k, figures, sc.run)
				switch {
				case errors.Is(err, errStopped):
					return err
				case err != nil:
					r.Faults = append(r.Faults, fmt.Sprintf("run %d, %s: %v", n+1, sc.name, err))
					fmt.Println(r.Faults[len(r.Faults)-1])
				default:
					r.add(k.name, figures)
					fmt.Printf("run %d  %-8s %-10s %s\n", n+1, sc.name, k.name, figures)
				}
			}
		}
	}
	return nil
}

// names are what is between the commas.
func names(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

// clientCPU is what this process has used.
func clientCPU() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
