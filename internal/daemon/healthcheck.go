package daemon

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/ramainen/doit-socket/internal/listen"
)

// healthcheckTimeout bounds the request of --healthcheck.
const healthcheckTimeout = 3 * time.Second

// errUnhealthy means that the running program did not answer /healthz with 200.
var errUnhealthy = errors.New("not healthy")

// healthcheck requests /healthz from the running program. It returns ErrDone if
// that is alive. A flag of the program does this, because an image without a
// shell has nothing else that could. It finds the program by the same flags and
// variables as that program has: by the private listener, or the public one if
// there is no private one. It asks whether the program is alive, not whether it
// is ready: a restart would not bring NATS back, but would cost all sockets.
func (c Config) healthcheck() error {
	flag, address := "--admin-listen", c.AdminListen
	if address == "" {
		flag, address = "--listen", c.Listen
	}
	if err := checkAddress(flag, address); err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	client := http.Client{Timeout: healthcheckTimeout, Transport: &http.Transport{DisableKeepAlives: true}} // this transport uses no proxy
	answer, err := client.Get(listen.URL(address) + "/healthz")
	if err != nil {
		return fmt.Errorf("%w: no program answers at %s %s: %w", errUnhealthy, flag, address, err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: at %s %s another program may listen, for it answers %s to /healthz", errUnhealthy, flag, address, answer.Status)
	}
	return ErrDone
}
