package natsd

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/prometheus/client_golang/prometheus"
)

// ClusterConfig joins several boxes to one cluster, without another program.
// All boxes are the same: a page is connected to any, PHP emits to any.
type ClusterConfig struct {
	ClusterListen string   `placeholder:"HOST:PORT" help:"Join a cluster of boxes like this one: the address at which they reach it."`
	ClusterRoutes []string `placeholder:"HOST:PORT" help:"Other boxes of the cluster. One of them that is there is enough: they tell of each other."`
	ClusterSecret string   `placeholder:"WORD" help:"What all boxes of the cluster know, at least 24 characters: by it they know each other and encrypt all between them. Rather in the variable, for everybody on the machine can read a command line."`
}

// minSecret is the least length of a secret, in bytes. Who reaches the port
// can see a certificate that is made from it, and try secrets until one fits.
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
		NoAdvertise: true, // of the port for clients, which is nobody's
	}
	for _, route := range c.ClusterRoutes {
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats-route", Host: route})
	}
	return nil
}

// Peers returns the names of the other boxes that this one is joined with.
func (s *Server) Peers() []string {
	routes, err := s.server.Routez(nil)
	if err != nil {
		return nil
	}
	names := make([]string, 0, len(routes.Routes))
	for _, r := range routes.Routes {
		names = append(names, r.RemoteName)
	}
	slices.Sort(names)
	return slices.Compact(names) // several connections lead to each
}

// Alone reports whether this box is joined with no other: what is published
// then reaches this process only.
func (s *Server) Alone() bool { return s.server.NumRoutes() == 0 }

// PeersGauge is their number.
func (s *Server) PeersGauge() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "doit_cluster_peers",
		Help: "Other boxes of the cluster that this one is joined with.",
	}, func() float64 { return float64(len(s.Peers())) })
}
