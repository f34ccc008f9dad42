package daemon

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"strings"

	"github.com/alecthomas/kong"
)

// Config holds the settings that every program has.
type Config struct {
	MemoryConfig `embed:""`
	PathConfig   `embed:""`

	Listen      string   `default:"${listen}" help:"Address of the public listener. If the environment has PORT, the default is :PORT."`
	AdminListen string   `default:"${admin_listen}" help:"Address of the private listener: /metrics, /debug/pprof, /readyz with reasons."`
	Open        bool     `help:"Allow open mode for strangers: on a public address, and for emits that a proxy has forwarded or a page of another site has sent. Anyone who knows an id may then emit to it and register it."`
	AdminHosts  []string `placeholder:"NAME" help:"Host names by which the private listener may be asked, besides addresses, localhost and the name in --admin-listen. Others are answered 403: a page could use them to reach it through a browser (DNS rebinding)."`
	Node        string   `default:"${hostname}" help:"Label of this node in receipts and on the private status page. Labels need not be unique."`
	LogLevel    string   `default:"info" enum:"debug,info,warn,error" help:"Lowest level that is logged: debug, info, warn or error."`

	MaxConnections           int `default:"0" help:"Most TCP connections of the public listeners together. At the limit the one that has waited longest for a request is closed, and a new one is answered 503 if none waits. 0 means 10,000 more than --max-sockets, or as many as the files allow if that is less."`
	MaxConnectionsPerAddress int `default:"2500" help:"Most TCP connections from one address (IPv6: from one /64), at most half of all. Further ones are answered 429. 127.0.0.0/8, ::1 and trusted proxies are exempt. 0 means no limit."`

	Healthcheck bool `env:"-" help:"Ask the running program whether it is alive and exit with code 0 or 1. It is found by --admin-listen or its variable. For containers."`

	// It has no variable: files of variables often use DOIT_VERSION for the tag of an image.
	Version kong.VersionFlag `env:"-" help:"Print the version and exit."`
}

// Defaults are the default values that differ between the programs.
type Defaults struct {
	Listen      string
	AdminListen string
}

// ErrDone is returned by Parse if --help, --version or --healthcheck has been
// carried out and the program should exit with code 0.
var ErrDone = errors.New("done")

// Parse fills cfg, a pointer to a struct with kong's tags, from args and the
// environment, and validates it. The variable of --max-body is DOIT_MAX_BODY,
// and so on. A flag takes precedence over its variable. name and about are for
// --help, which is written to stdout.
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
	case errors.Is(err, errUnhealthy):
		return err
	case err != nil:
		return fmt.Errorf("%w: %w (see --help)", ErrUsage, err)
	}
	return nil
}

// Validate returns an error for the first setting that is invalid.
func (c Config) Validate() error {
	if c.Node == "" || strings.ContainsAny(c.Node, " \t\r\n") {
		return fmt.Errorf("--node is %q: it must be a name without spaces", c.Node)
	}
	if err := cmp.Or(c.MemoryConfig.Validate(), c.PathConfig.Validate()); err != nil {
		return err
	}
	for _, limit := range []struct {
		flag  string
		value int
	}{{"--max-connections", c.MaxConnections}, {"--max-connections-per-address", c.MaxConnectionsPerAddress}} {
		if limit.value < 0 || limit.value > mostConnections {
			return fmt.Errorf("%s is %d: it must be 0 to %d", limit.flag, limit.value, mostConnections)
		}
	}
	for _, name := range c.AdminHosts {
		if strings.ContainsAny(name, ":/ \t") {
			return fmt.Errorf("--admin-hosts contains %q: it must be a name without scheme, port and path, like gateway-1", name)
		}
	}
	return c.Allow(c.Listen)
}

// mostConnections is the highest value of the limits on connections.
const mostConnections = 10_000_000

// Allow returns an error if address is not HOST:PORT, or is public and open mode
// there is not permitted by --open.
func (c Config) Allow(address string) error {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return fmt.Errorf("%q is not HOST:PORT: %w", address, err)
	}
	if c.Open || IsLoopback(address) {
		return nil
	}
	return fmt.Errorf("%q is a public address, and in open mode anyone who reaches it may emit to every id and register as any id; "+
		"set --open or DOIT_OPEN=1 to allow that, or listen on 127.0.0.1", address)
}

// IsLoopback reports whether only this machine can reach a listener on address.
func IsLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Version returns the version of the main module from the build information, or
// "(devel)".
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
