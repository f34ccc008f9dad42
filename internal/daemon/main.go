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
	"strings"
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

// A Run does what a command is for, until it is done or the context ends.
type Run func(ctx context.Context, args []string, stdout, stderr io.Writer) error

// A Command is what a program does when its first argument is the command's name.
type Command struct {
	Name string
	Run  Run
}

// Main runs a program until it returns. Its first argument may name a command:
// serve, which is what the program does without one; healthcheck, which is
// serve's --healthcheck; or one of more. SIGINT and SIGTERM end the context; a
// second one ends the process at once.
func Main(name string, serve Run, more ...Command) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		signal.Stop(signals) // before anybody can see that the first has come
		cancel()
	}()
	run, args, err := choose(os.Args[1:], commands(serve, more))
	if err == nil {
		err = run(ctx, args, os.Stdout, os.Stderr)
	}
	os.Exit(exitCode(name, err))
}

// commands are those of a program; the first is meant where none is named.
func commands(serve Run, more []Command) []Command {
	healthcheck := func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
		return serve(ctx, append([]string{"--healthcheck"}, args...), stdout, stderr)
	}
	return append([]Command{{"serve", serve}, {"healthcheck", healthcheck}}, more...)
}

// choose returns the command that the arguments name, and the arguments for it.
func choose(args []string, commands []Command) (Run, []string, error) {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return commands[0].Run, args, nil
	}
	names := make([]string, len(commands))
	for i, c := range commands {
		if c.Name == args[0] {
			return c.Run, args[1:], nil
		}
		names[i] = c.Name
	}
	return nil, nil, fmt.Errorf("%w: there is no command %q: say %s, or nothing to serve (see --help)", ErrUsage, args[0], strings.Join(names, ", "))
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
