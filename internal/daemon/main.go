// Package daemon is what the three programs have in common as processes: command
// line and environment, signals and exit codes, health, the pages of the private
// listener, the NATS connection and the memory. Their listeners are
// internal/listen, their log is internal/logging. It knows nothing of sockets and
// events.
//
// A program calls [Main], which calls its serve: [Parse], [NewProcess],
// [Process.StartRelief], [Process.LimitSockets], [Process.Connect] or
// [Process.ConnectBus], [Process.Listen] and Serve, [Process.ServeAdmin],
// [Process.Wait]. What these return ends in the reverse order. All are called by
// main's goroutine.
//
// It has one lock, that of [Health]. Checks and facts are called while it is held:
// they must not call the Health, nor nats.go, which may wait for a dial.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/ramainen/doit-socket/internal/logging"
)

// ErrUsage is wrapped by errors in the command line or the environment. The
// program then exits with code 2.
var ErrUsage = errors.New("bad usage")

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// A Run runs a command until it is done or ctx ends. args are the arguments
// behind the command's name.
type Run func(ctx context.Context, args []string, stdout, stderr io.Writer) error

// A Command is a command of a program. The program runs it if the first argument
// is the command's name.
type Command struct {
	Name string
	Run  Run
}

// Main runs a program and exits: with code 0, 1 after an error, or 2 after an
// [ErrUsage]. The first argument may name a command: serve, which is the
// default; healthcheck, which is serve with --healthcheck; or one of more.
// SIGINT or SIGTERM ends the context. A second signal ends the process at once.
// A reader of the log that goes away or does not read neither ends nor stops the
// program.
func Main(name string, serve Run, more ...Command) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		signal.Stop(signals) // before cancel, so that a second signal ends the process from the start of the shutdown
		cancel()
	}()
	// Go ends the process by SIGPIPE if standard output or error is a broken pipe,
	// unless the program receives the signal. The write then fails.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	stderr := logging.NewOutput(os.Stderr)
	go stderr.Run()
	log.SetOutput(stderr) // for libraries

	run, args, err := choose(os.Args[1:], commands(serve, more))
	if err == nil {
		err = run(ctx, args, os.Stdout, stderr)
	}
	code := exitCode(stderr, name, err)
	stderr.Close()
	os.Exit(code)
}

// commands returns a program's commands. The first is the default.
func commands(serve Run, more []Command) []Command {
	healthcheck := func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
		return serve(ctx, append([]string{"--healthcheck"}, args...), stdout, stderr)
	}
	return append([]Command{{"serve", serve}, {"healthcheck", healthcheck}}, more...)
}

// choose returns the command that the first argument names, or the default, and
// the arguments for it.
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
	return nil, nil, fmt.Errorf("%w: there is no command %q: use %s; without a command the program serves (see --help)", ErrUsage, args[0], strings.Join(names, ", "))
}

// exitCode writes an error to stderr and returns the code for it.
func exitCode(stderr io.Writer, name string, err error) int {
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(stderr, "%s: %v\n", name, err)
	if errors.Is(err, ErrUsage) {
		return exitUsage
	}
	return exitFailed
}
