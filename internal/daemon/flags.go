package daemon

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"strings"

	"github.com/alecthomas/kong"
)

// Config is what every program has.
type Config struct {
	Listen      string `default:"${listen}" help:"Address of the public listener. With PORT in the environment the default is :PORT."`
	AdminListen string `default:"${admin_listen}" help:"Address of the private listener: /metrics, /debug/pprof, /readyz with reasons."`
	Open        bool   `help:"Allow open mode on a public address: anyone who knows an id may emit to it and register it."`
	Node        string `default:"${hostname}" help:"What people call this node: a label in receipts and on the private status page. Several nodes may have the same one."`
	LogLevel    string `default:"info" enum:"debug,info,warn,error" help:"Least level that is logged: debug, info, warn or error."`

	Healthcheck bool `env:"-" help:"Ask the program that runs beside this one, with the same variables, whether it lives: exit code 0 or 1. For containers."`

	// No variable: DOIT_VERSION is what people call the tag of an image, in the same file of variables.
	Version kong.VersionFlag `env:"-" help:"Print the version and exit."`
}

// Defaults are the values by which the programs' flags differ.
type Defaults struct {
	Listen      string
	AdminListen string
}

// ErrDone is returned by Parse when --help or --version was all that was asked for.
var ErrDone = errors.New("done")

// Parse fills cfg, a struct with kong's tags, from flags and from the
// environment: --max-body is DOIT_MAX_BODY, and so on. A flag wins.
func Parse(cfg any, name, about string, d Defaults, args []string, stdout io.Writer) error {
	if port := os.Getenv("PORT"); port != "" {
		d.Listen = ":" + port
	}
	hostname, err := os.Hostname()
	if err != nil || hostname == "" {
		hostname = name
	}
	done := false
	k, err := kong.New(cfg,
		kong.Name(name),
		kong.Description(about),
		kong.DefaultEnvars("DOIT"),
		kong.Vars{"listen": d.Listen, "admin_listen": d.AdminListen, "hostname": hostname, "version": Version()},
		kong.Writers(stdout, stdout),
		kong.Exit(func(int) { done = true }),
	)
	if err != nil {
		return fmt.Errorf("declare flags: %w", err)
	}
	_, err = k.Parse(args)
	switch {
	case done:
		return ErrDone
	case errors.Is(err, errUnwell):
		return err
	case err != nil:
		return fmt.Errorf("%w: %w (see --help)", ErrUsage, err)
	}
	return nil
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	if c.Node == "" || strings.ContainsAny(c.Node, " \t\r\n") {
		return fmt.Errorf("--node is %q: a name without spaces is needed", c.Node)
	}
	return c.Allow(c.Listen)
}

// Allow refuses open mode on a public address, unless it is said to be meant.
func (c Config) Allow(address string) error {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return fmt.Errorf("%q is not HOST:PORT: %w", address, err)
	}
	if c.Open || IsLoopback(address) {
		return nil
	}
	return fmt.Errorf("%q is a public address, and in open mode anyone who reaches it may emit to every id and register as any id; "+
		"if that is meant, say --open or DOIT_OPEN=1, else listen on 127.0.0.1", address)
}

// IsLoopback reports whether only this machine can reach a listener of the address.
func IsLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Version is that of the module, as the build knows it.
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
