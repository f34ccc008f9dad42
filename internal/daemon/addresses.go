package daemon

import (
	"cmp"
	"fmt"
	"net"
	"strings"

	"github.com/ramainen/doit-socket/internal/listen"
)

// What anyone who knows an id may do, in open mode, at a listener.
const (
	MayEmit            = "emit to it"
	MayRegister        = "register it and receive its events"
	MayEmitAndRegister = "emit to it, register it and receive its events"
)

// Allow returns an error if the public listener of a flag may not have its
// address: it is not HOST:PORT, it has the port of another listener, or other
// machines reach it and --open is not set. may is what anyone may do there in
// open mode: [MayEmit] and so on. Each program calls it for its public listeners.
func (c Config) Allow(flag, address, may string) error {
	if err := checkAddress(flag, address); err != nil {
		return err
	}
	if err := cmp.Or(apart(flag, address, "--listen", c.Listen), apart(flag, address, "--admin-listen", c.AdminListen)); err != nil {
		return err
	}
	if c.Open || IsLoopback(address) {
		return nil
	}
	named := flag
	if flag == "--listen" && c.port != "" && address == ":"+c.port {
		named = "--listen, by the variable PORT,"
	}
	return fmt.Errorf("%s is %q: other machines can reach it, and in open mode anyone there who knows an id may %s; "+
		"if this is meant, set --open or DOIT_OPEN=1; if not, listen on 127.0.0.1", named, address, may)
}

// allowAdmin returns an error if the private listener may not have its address.
func (c Config) allowAdmin() error {
	if c.AdminListen == "" { // there is none
		return nil
	}
	if err := checkAddress("--admin-listen", c.AdminListen); err != nil {
		return err
	}
	if c.AdminOpen || IsLoopback(c.AdminListen) {
		return nil
	}
	return fmt.Errorf("--admin-listen is %q: other machines can reach it, and the private listener has no password: anyone there can read "+
		"metrics, profiles of the memory and names of servers; if this is meant, as in a private network, set --admin-open or DOIT_ADMIN_OPEN=1; "+
		"if not, listen on 127.0.0.1, or on '', which is no private listener", c.AdminListen)
}

// checkAddress returns an error if the address of a flag is not HOST:PORT.
func checkAddress(flag, address string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil && port != "" {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil || port == "" {
		return fmt.Errorf("%s is %q: it must be HOST:PORT, such as 127.0.0.1:1337 or [::1]:1337, which only this machine reaches, "+
			"or 0.0.0.0:1337, which is every address of the machine", flag, address)
	}
	return nil
}

// apart returns an error if two listeners would have the same port of the same
// address.
func apart(flag, address, otherFlag, other string) error {
	host, port, err := net.SplitHostPort(address)
	otherHost, otherPort, otherErr := net.SplitHostPort(other)
	if flag == otherFlag || err != nil || otherErr != nil || port != otherPort || strings.Trim(port, "0") == "" {
		return nil
	}
	if !strings.EqualFold(host, otherHost) && !listen.IsUnspecified(host) && !listen.IsUnspecified(otherHost) {
		return nil
	}
	return fmt.Errorf("%s is %q and %s is %q, which is the same port; give one of them another", flag, address, otherFlag, other)
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
