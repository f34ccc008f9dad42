package daemon

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/nats-io/nats.go"
)

// BusConfig says where NATS is and how the program authenticates to it.
type BusConfig struct {
	NatsURL      string `placeholder:"nats://HOST:4222" help:"Required. Address of NATS, or several, separated by commas."`
	NatsCreds    string `placeholder:"FILE" help:"Credentials file of a NATS user, as nsc writes it."`
	NatsNkey     string `placeholder:"FILE" help:"File with the nkey seed of a NATS user."`
	NatsUser     string `placeholder:"NAME" help:"Name of a NATS user; requires --nats-password."`
	NatsPassword string `placeholder:"WORD" help:"Password of the NATS user. Prefer the variable: command lines are visible to every user of the machine."`
	NatsCA       string `placeholder:"FILE" help:"Certificates of the private authority that signs those of the NATS servers. TLS is then required, as with tls:// in the address."`
	NatsCert     string `placeholder:"FILE" help:"Certificate by which this program authenticates to NATS; requires --nats-key."`
	NatsKey      string `placeholder:"FILE" help:"Private key of --nats-cert."`
}

// Validate returns an error for the first setting that is invalid. It reads the
// files that the settings name.
func (c BusConfig) Validate() error {
	ways := 0
	for _, way := range []string{c.NatsCreds, c.NatsNkey, c.NatsUser} {
		if way != "" {
			ways++
		}
	}
	switch {
	case strings.Trim(c.NatsURL, ", ") == "":
		// For nats.go this means 127.0.0.1:4222.
		return errors.New("--nats-url is missing: set it, or DOIT_NATS_URL, to the address of your NATS server, such as nats://10.0.0.5:4222; " +
			"doit-socket, which is all in one process, needs none")
	case !validURLs(c.NatsURL):
		return errors.New("--nats-url is no list of addresses like nats://HOST:4222; if it contains a password with other characters than letters and digits, use --nats-user and --nats-password instead")
	case ways > 1:
		return errors.New("of --nats-creds, --nats-nkey and --nats-user more than one is set: keep the one by which this program authenticates")
	case (c.NatsUser == "") != (c.NatsPassword == ""):
		return errors.New("of --nats-user and --nats-password only one is set: set both, or neither")
	case (c.NatsCert == "") != (c.NatsKey == ""):
		return errors.New("of --nats-cert and --nats-key only one is set: set both, or neither")
	}
	// nats.go opens some of these files at each attempt to connect. If one were
	// missing, it would retry for ever.
	for _, f := range []struct{ flag, path string }{
		{"--nats-creds", c.NatsCreds}, {"--nats-nkey", c.NatsNkey}, {"--nats-ca", c.NatsCA}, {"--nats-cert", c.NatsCert}, {"--nats-key", c.NatsKey},
	} {
		if f.path == "" {
			continue
		}
		if _, err := os.ReadFile(f.path); err != nil {
			return fmt.Errorf("%s names a file that cannot be read: %w", f.flag, err)
		}
	}
	return nil
}

// validURLs reports whether nats.go can parse the list. The error of nats.go
// would contain the passwords in it.
func validURLs(list string) bool {
	for address := range strings.SplitSeq(list, ",") {
		if address = strings.TrimSpace(address); !strings.Contains(address, "://") {
			address = "nats://" + address
		}
		if _, err := url.Parse(address); err != nil {
			return false
		}
	}
	return true
}

// options returns the options for the connection.
func (c BusConfig) options() (opts []nats.Option, err error) {
	if c.NatsCreds != "" {
		opts = append(opts, nats.UserCredentials(c.NatsCreds))
	}
	if c.NatsNkey != "" {
		nkey, err := nats.NkeyOptionFromSeed(c.NatsNkey)
		if err != nil {
			return nil, fmt.Errorf("--nats-nkey: %w", err)
		}
		opts = append(opts, nkey)
	}
	if c.NatsUser != "" {
		opts = append(opts, nats.UserInfo(c.NatsUser, c.NatsPassword))
	}
	if c.NatsCA != "" {
		opts = append(opts, nats.RootCAs(c.NatsCA))
	}
	if c.NatsCert != "" {
		opts = append(opts, nats.ClientCert(c.NatsCert, c.NatsKey))
	}
	return opts, nil
}

// ConnectBus connects to NATS as c says; see [Process.Connect].
func (p *Process) ConnectBus(c BusConfig, role string, fail func(error)) (*nats.Conn, error) {
	opts, err := c.options()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	return p.Connect(c.NatsURL, role, fail, opts...)
}
