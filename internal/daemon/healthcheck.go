package daemon

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/alecthomas/kong"
)

// healthcheckTime bounds the question whether the program is well.
const healthcheckTime = 3 * time.Second

// errUnwell is that the program that was asked about does not answer, or not well.
var errUnwell = errors.New("not well")

// AfterApply does what --healthcheck asks for, and nothing else: in an image
// without a shell nobody else could ask. Where the private listener is it
// knows as the program itself does, so that a container needs to be told only
// in one way, by the environment. It asks whether the program lives, not
// whether it is ready: to start it anew brings no bus back, and costs sockets.
func (c Config) AfterApply(k *kong.Kong) error {
	if !c.Healthcheck {
		return nil
	}
	client := http.Client{Timeout: healthcheckTime, Transport: &http.Transport{DisableKeepAlives: true}} // and no proxy
	answer, err := client.Get(urlOf(c.AdminListen) + "/healthz")
	if err != nil {
		return fmt.Errorf("%w: %w", errUnwell, err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: %s", errUnwell, answer.Status)
	}
	k.Exit(0)
	return nil
}
