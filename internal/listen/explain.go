package listen

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// Explain returns why the listener of a flag cannot listen, and what to do
// about it. err is that of [net.Listen], which names the address.
func Explain(flag string, err error) error {
	variable := "DOIT_" + strings.ToUpper(strings.ReplaceAll(strings.TrimPrefix(flag, "--"), "-", "_"))
	choose := fmt.Sprintf("choose another address by %s or %s", flag, variable)
	if flag == "--admin-listen" {
		choose += ", or '' for no private listener"
	}
	advice := choose
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		advice = "another program listens there, perhaps a second doit-socket. Stop that one, or " + choose
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		advice = "this machine does not have the address. 0.0.0.0 means every address that it has; " + choose
	case errors.Is(err, syscall.EACCES):
		advice = fmt.Sprintf("a user may not listen on a port below 1024 without a permission. Listen on a higher port, and let a web server pass "+
			"requests on. Or permit it: `sudo setcap cap_net_bind_service=+ep %s`, or under systemd AmbientCapabilities=CAP_NET_BIND_SERVICE "+
			"(docs/operations.md, \"Port 80\")", binary())
	}
	return fmt.Errorf("%s: %w: %s", flag, err, advice)
}

// binary returns the path of this program.
func binary() string {
	if path, err := os.Executable(); err == nil {
		return path
	}
	return os.Args[0]
}
