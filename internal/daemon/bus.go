package daemon

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/nats-io/nats.go"
)

// BusConfig says where NATS is, and as whom to come.
type BusConfig struct {
	NatsURL      string `required:"" placeholder:"nats://HOST:4222" help:"Address of NATS, or several with commas between them."`
	NatsCreds    string `placeholder:"FILE" help:"Credentials of a NATS user, as nsc writes them."`
	NatsNkey     string `placeholder:"FILE" help:"The seed of a NATS user's nkey."`
	NatsUser     string `placeholder:"NAME" help:"Name of a NATS user, with --nats-password."`
	NatsPassword string `placeholder:"WORD" help:"Its password; rather in the variable, for everybody on the machine can read a command line."`
	NatsCA       string `placeholder:"FILE" help:"Certificates of the authority that signs those of NATS, where it is a private one. With it TLS is demanded, as with tls:// in the address."`
	NatsCert     string `placeholder:"FILE" help:"Certificate by which NATS knows this program, with --nats-key."`
	NatsKey      string `placeholder:"FILE" help:"Its key."`
}

// Validate says what is wrong with the configuration.
func (c BusConfig) Validate() error {
	ways := 0
	for _, way := range []string{c.NatsCreds, c.NatsNkey, c.NatsUser} {
		if way != "" {
			ways++
		}
	}
	switch {
	case strings.Trim(c.NatsURL, ", ") == "":
		return errors.New("--nats-url is empty") // nats.go would take it for 127.0.0.1:4222
	case !urls(c.NatsURL):
		return errors.New("--nats-url is no list of addresses like nats://HOST:4222; a password in it with other than letters and digits goes into --nats-password")
	case ways > 1:
		return errors.New("--nats-creds, --nats-nkey and --nats-user each say who this program is: one of them is enough")
	case (c.NatsUser == "") != (c.NatsPassword == ""):
		return errors.New("--nats-user and --nats-password go together")
	case (c.NatsCert == "") != (c.NatsKey == ""):
		return errors.New("--nats-cert and --nats-key go together")
	}
	// nats.go would look for some of them at each attempt to connect, and try for ever.
	for _, f := range []struct{ flag, path string }{
		{"--nats-creds", c.NatsCreds}, {"--nats-nkey", c.NatsNkey}, {"--nats-ca", c.NatsCA}, {"--nats-cert", c.NatsCert}, {"--nats-key", c.NatsKey},
	} {
		if f.path == "" {
			continue
		}
		if _, err := os.ReadFile(f.path); err != nil {
			return fmt.Errorf("%s: %w", f.flag, err)
		}
	}
	return nil
}

// urls reports whether nats.go can read the list; its own error has the passwords in it.
func urls(list string) bool {
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

// options are those of the connection.
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

// ConnectBus connects to the NATS that c says; see [Process.Connect].
func (p *Process) ConnectBus(c BusConfig, role string, fail func(error)) (*nats.Conn, error) {
	opts, err := c.options()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	return p.Connect(c.NatsURL, role, fail, opts...)
}
