package natsd

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/ramainen/doit-socket/internal/listen"
)

// ClusterConfig holds the flags that join several boxes to one cluster. All boxes are equal: pages
// may connect, and PHP may emit, to any of them.
type ClusterConfig struct {
	ClusterListen string   `placeholder:"HOST:PORT" help:"Join a cluster: the address on which this box accepts connections of the other boxes."`
	ClusterRoutes []string `placeholder:"HOST:PORT" help:"Addresses of boxes of the cluster. One reachable box is enough: it announces the others. The list may contain the address of this box, so all boxes can have the same list."`
	ClusterSecret string   `placeholder:"WORD" help:"The secret that all boxes of the cluster share, at least 24 characters. It authenticates the boxes and encrypts the traffic between them. Prefer the environment variable: command lines are visible to every user."`
}

// minSecret is the minimum length of the secret, in bytes. It has to resist guessing offline: a box
// shows a certificate made from the secret to anyone who connects to the port.
const minSecret = 24

// Validate returns an error that names the first invalid flag and its allowed values.
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
	if _, _, err := split(c.ClusterListen); err != nil {
		return fmt.Errorf("--cluster-listen is %q: it must be HOST:PORT, such as 10.0.0.1:6222, or :6222 for every address of the machine", c.ClusterListen)
	}
	for _, route := range c.ClusterRoutes {
		if _, _, err := split(route); err != nil {
			return fmt.Errorf("--cluster-routes contains %q: it must be HOST:PORT, such as 10.0.0.2:6222, or several, separated by commas", route)
		}
	}
	return nil
}

// split splits HOST:PORT.
func split(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	number, err := strconv.ParseUint(text, 10, 16)
	return host, int(number), err
}

// join adds the cluster to the options of a server. It returns an error if the address cannot be
// listened on.
func (c ClusterConfig) join(o *server.Options) error {
	host, port, err := split(c.ClusterListen)
	if err != nil {
		return err
	}
	// nats-server would only log that the address is in use.
	free, err := net.Listen("tcp", c.ClusterListen)
	if err != nil {
		return listen.Explain("--cluster-listen", err)
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
		// One connection to each box. nats-server's default is a pool of three
		// and one for its system account, of which the only account here uses
		// just one. Boxes counted as joined before that one was up, and then
		// did not get each other's messages.
		PoolSize:    -1,
		NoAdvertise: true, // do not announce the client port: clients of other boxes cannot use it
	}
	// Log the first failed attempt to reconnect to a box that went away, and
	// then one an hour, as nats-server does by default for a box that it never
	// reached. Its default here is to log every attempt, once a second.
	o.ReconnectErrorReports = server.DEFAULT_CONNECT_ERROR_REPORTS
	// The list may contain this box: nats-server recognises its own id at the
	// other end of such a route and does not try again.
	for _, route := range c.ClusterRoutes {
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats-route", Host: route})
	}
	return nil
}
