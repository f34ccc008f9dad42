// Package daemon is what the three programs share as processes: command line
// and environment, log, listeners, the NATS connection, health. It has no
// domain words.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// ErrUsage is wrapped by errors that the operator mends on the command line.
var ErrUsage = errors.New("bad usage")

// Exit codes.
const (
	exitDrained = 0
	exitFailed  = 1
	exitUsage   = 2
)

// Main runs a program until it returns. SIGINT and SIGTERM end the context
// that it gets; a second one ends the process at once.
func Main(name string, run func(ctx context.Context, args []string, stdout, stderr io.Writer) error) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		signal.Stop(signals) // before anybody can see that the first has come
		cancel()
	}()
	os.Exit(exitCode(name, run(ctx, os.Args[1:], os.Stdout, os.Stderr)))
}

func exitCode(name string, err error) int {
	if err == nil {
		return exitDrained
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
	if errors.Is(err, ErrUsage) {
		return exitUsage
	}
	return exitFailed
}
