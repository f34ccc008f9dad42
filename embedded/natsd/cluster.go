package natsd

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"

	"github.com/nats-io/nats-server/v2/server"
)

// ClusterConfig joins several boxes to one cluster, without another program.
// All boxes are the same: a page is connected to any, PHP emits to any.
type ClusterConfig struct {
	ClusterListen string   `placeholder:"HOST:PORT" help:"Join a cluster of boxes like this one: the address at which they reach it."`
	ClusterRoutes []string `placeholder:"HOST:PORT" help:"Boxes of the cluster. One that can be reached is enough: boxes tell each other of the rest. The address of this box itself may be among them, so all boxes can have the same list."`
	ClusterSecret string   `placeholder:"WORD" help:"The secret that all boxes of the cluster share, at least 24 characters. It authenticates the boxes and encrypts what they send each other. Prefer the variable: command lines are visible to every user."`
}

// minSecret is the least length of a secret, in bytes. Anyone who reaches the
// port sees a certificate that is made from the secret, and can try secrets
// against it.
const minSecret = 24

// Validate says what is wrong with the configuration.
func (c ClusterConfig) Validate() error {
	if c.ClusterListen == "" {
		if len(c.ClusterRoutes) > 0 || c.ClusterSecret != "" {
			return errors.New("--cluster-routes and --cluster-secret need --cluster-listen, the address at which the other boxes reach this one")
		}
		return nil
	}
	if len(c.ClusterSecret) < minSecret {
		return fmt.Errorf("--cluster-secret has %d characters: it needs %d at least, the same on all boxes, as `openssl rand -base64 24` prints them", len(c.ClusterSecret), minSecret)
	}
	for _, address := range append([]string{c.ClusterListen}, c.ClusterRoutes...) {
		if _, _, err := split(address); err != nil {
			return fmt.Errorf("%q is not HOST:PORT: %w", address, err)
		}
	}
	return nil
}

func split(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	number, err := strconv.ParseUint(text, 10, 16)
	return host, int(number), err
}

// join completes the options of a server that is to be in a cluster.
func (c ClusterConfig) join(o *server.Options) error {
	host, port, err := split(c.ClusterListen)
	if err != nil {
		return err
	}
	// nats-server would only log that.
	free, err := net.Listen("tcp", c.ClusterListen)
	if err != nil {
		return fmt.Errorf("listen on %s for the cluster: %w", c.ClusterListen, err)
	}
	_ = free.Close()
	if port == 0 {
		port = server.RANDOM_PORT
	}
	tls, err := identity(c.ClusterSecret)
	if err != nil {
		return err
	}
	o.Cluster = server.ClusterOpts{
		Name: "doit-socket", Host: host, Port: port,
		TLSConfig: tls, TLSTimeout: routeTimeout.Seconds(),
		// One connection to each box, not nats-server's pool of three and one
		// for its system account. All subjects here are of one account, and so
		// on one of them: while it was not up yet, the boxes were joined and
		// heard nothing of each other.
		PoolSize:    -1,
		NoAdvertise: true, // of the port for clients, which is nobody's
	}
	// A box that went away would be logged once a second. The first attempt is
	// logged, and then one an hour, as nats-server does for a box that was
	// never reached.
	o.ReconnectErrorReports = server.DEFAULT_CONNECT_ERROR_REPORTS
	// A route to this box itself is no error: nats-server finds its own id at
	// the other end and does not try again.
	for _, route := range c.ClusterRoutes {
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats-route", Host: route})
	}
	return nil
}
