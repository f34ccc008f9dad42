package daemon

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/alecthomas/kong"
)

// healthcheckTimeout bounds the request of --healthcheck.
const healthcheckTimeout = 3 * time.Second

// errUnhealthy means that the running program did not answer /healthz with 200.
var errUnhealthy = errors.New("not healthy")

// AfterApply implements --healthcheck; kong calls it after parsing. It requests
// /healthz from the running program. A flag of the program does this, because
// an image without a shell has nothing else that could. It finds the
// private listener by the same flag and variable as the running program. It
// asks whether that is alive, not whether it is ready: a restart would not bring
// NATS back, but would cost all sockets.
func (c Config) AfterApply(k *kong.Kong) error {
	if !c.Healthcheck {
		return nil
	}
	client := http.Client{Timeout: healthcheckTimeout, Transport: &http.Transport{DisableKeepAlives: true}} // this transport uses no proxy
	answer, err := client.Get(urlOf(c.AdminListen) + "/healthz")
	if err != nil {
		return fmt.Errorf("%w: %w", errUnhealthy, err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: %s", errUnhealthy, answer.Status)
	}
	k.Exit(0)
	return nil
}
