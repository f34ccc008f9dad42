package daemon

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/ramainen/doit-socket/internal/listen"
)

// Config holds the settings that every program has.
type Config struct {
	MemoryConfig `embed:""`
	PathConfig   `embed:""`

	Listen      string   `default:"${listen}" help:"Address of the public listener. If the environment has PORT, the default is :PORT."`
	AdminListen string   `default:"${admin_listen}" help:"Address of the private listener: /metrics, /debug/pprof, /readyz with reasons. If empty, there is none."`
	Open        bool     `help:"Allow open mode for strangers: on a public address, and for emits that a proxy has forwarded or a page of another site has sent. Anyone who knows an id may then emit to it and register it."`
	AdminOpen   bool     `help:"Allow the private listener on an address that other machines reach. It has no password, and shows metrics, profiles of the memory and names of servers."`
	AdminHosts  []string `placeholder:"NAME" help:"Host names by which the private listener may be asked, besides addresses, localhost and the name in --admin-listen. Others are answered 403: a page could use them to reach it through a browser (DNS rebinding)."`
	Node        string   `default:"${hostname}" help:"Label of this node in receipts and on the private status page. Labels need not be unique."`
	LogLevel    string   `default:"info" enum:"debug,info,warn,error" help:"Lowest level that is logged: debug, info, warn or error."`

	Connections listen.Config `embed:""`

	Healthcheck bool `env:"-" help:"Ask the running program whether it is alive and exit with code 0 or 1. It is found by --admin-listen or its variable, and if that is empty by --listen. For containers."`

	// It has no variable: files of variables often use DOIT_VERSION for the tag of an image.
	Version kong.VersionFlag `env:"-" short:"v" help:"Print name and version and exit."`

	port    string   // the variable PORT
	unknown []string // variables that look like ours and that nobody reads
}

// Settings are a pointer to a struct that embeds [Config].
type Settings interface{ common() *Config }

func (c *Config) common() *Config { return c }

// Defaults are the default values that differ between the programs.
type Defaults struct {
	Listen      string
	AdminListen string
}

// ErrDone is returned by Parse if --help, --version or --healthcheck has been
// carried out and the program should exit with code 0.
var ErrDone = errors.New("done")

// Parse fills cfg, whose struct has kong's tags, from args and the environment,
// and validates it. The variable of --max-body is DOIT_MAX_BODY, and so on. A
// flag takes precedence over its variable. name and about are for --help, which
// is written to stdout.
//
// --help, --version and --healthcheck are carried out even if other flags are
// missing or invalid.
func Parse(cfg Settings, name, about string, d Defaults, args []string, stdout io.Writer) error {
	common := cfg.common()
	if common.port = os.Getenv("PORT"); common.port != "" {
		d.Listen = ":" + common.port
	}
	hostname, err := os.Hostname()
	if err != nil || hostname == "" {
		hostname = name
	}
	done := false
	k, err := kong.New(cfg, append(values(),
		kong.Name(name),
		kong.Description(about),
		kong.DefaultEnvars(strings.TrimSuffix(prefix, "_")),
		kong.Vars{"listen": d.Listen, "admin_listen": d.AdminListen, "hostname": hostname, "version": name + " " + Version()},
		kong.Writers(stdout, stdout),
		kong.Exit(func(int) { done = true }),
	)...)
	if err != nil {
		return fmt.Errorf("declare flags: %w", err)
	}
	_, err = k.Parse(args)
	switch {
	case done:
		return ErrDone
	case common.Healthcheck:
		return common.healthcheck()
	}
	// A misspelled variable comes first: without it a flag may be missing.
	var misspelled error
	common.unknown, misspelled = checkEnvironment(os.Environ(), variables(k.Model))
	if err != nil && strings.Contains(err.Error(), `got "EOL"`) { // kong's word for the end of the arguments
		flag, _, _ := strings.Cut(err.Error(), ":")
		err = fmt.Errorf("%s needs a value: %s VALUE", flag, flag)
	}
	if err = cmp.Or(misspelled, err); err != nil {
		return fmt.Errorf("%w: %w (see --help)", ErrUsage, err)
	}
	return nil
}

// Validate returns an error for the first setting that is invalid. Whether the
// public listeners may have their addresses is up to the programs, by
// [Config.Allow].
func (c Config) Validate() error {
	if c.Node == "" || strings.ContainsAny(c.Node, " \t\r\n") {
		return fmt.Errorf("--node is %q: it must be a name without spaces, such as gateway-1", c.Node)
	}
	if err := cmp.Or(c.MemoryConfig.Validate(), c.PathConfig.Validate(), c.Connections.Validate()); err != nil {
		return err
	}
	for _, name := range c.AdminHosts {
		if strings.ContainsAny(name, ":/ \t") {
			return fmt.Errorf("--admin-hosts contains %q: it must be a name without scheme, port and path, like gateway-1", name)
		}
	}
	return cmp.Or(checkAddress("--listen", c.Listen), c.allowAdmin())
}

// Version returns the version of the main module from the build information, or
// "(devel)".
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
