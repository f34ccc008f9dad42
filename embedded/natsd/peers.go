package natsd

import (
	"crypto/rand"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// idLength is the length of the random part of a box's name: 8 characters of base32, so 40 bits.
const idLength = 8

// uniqueName returns the server name of this box for nats-server: "label#id" with a random id. The
// label alone will not do: nats-server refuses a route to a server of the same name, and rented
// machines are often all called "vm" or "localhost".
func uniqueName(label string) string { return label + "#" + strings.ToLower(rand.Text()[:idLength]) }

// labelOf returns the label of a name made by uniqueName. It returns any other name unchanged: the
// name of a box of an older version has no id.
func labelOf(name string) string {
	if i := strings.LastIndexByte(name, '#'); i >= 0 && len(name)-i-1 == idLength {
		return name[:i]
	}
	return name
}

// A peer is another box that has a route to this one.
type peer struct {
	name    string
	address string // its IP address as seen by this box
}

// peers returns the boxes that have a route to this one, sorted by name.
func (s *Server) peers() []peer {
	routes, err := s.server.Routez(nil)
	if err != nil {
		return nil
	}
	byName := make(map[string]peer) // a box may have several routes
	for _, r := range routes.Routes {
		if p, ok := byName[r.RemoteName]; !ok || r.IP < p.address {
			byName[r.RemoteName] = peer{name: r.RemoteName, address: r.IP}
		}
	}
	return slices.SortedFunc(maps.Values(byName), func(a, b peer) int { return strings.Compare(a.name, b.name) })
}

// Boxes describes the cluster for /readyz and the status page: this box first, then its peers. A
// box is shown by its label. Boxes with the same label are shown by their full names, peers also
// with their addresses.
func (s *Server) Boxes() string {
	peers := s.peers()
	text := describe(s.server.Name(), peers)
	if len(peers) == 0 && len(s.watch.routes) > 0 {
		text += ", " + s.watch.state()
	}
	return text
}

// describe is Boxes for the box named own.
func describe(own string, peers []peer) string {
	count := map[string]int{labelOf(own): 1}
	for _, p := range peers {
		count[labelOf(p.name)]++
	}
	show := func(name, address string) string {
		if label := labelOf(name); count[label] == 1 {
			return label
		}
		return name + address
	}
	texts := []string{show(own, "")}
	for _, p := range peers {
		texts = append(texts, show(p.name, " at "+p.address))
	}
	return strings.Join(texts, ", ")
}

// Alone reports whether this box has no route to another one. A published message then reaches this
// process only.
func (s *Server) Alone() bool { return s.server.NumRoutes() == 0 }

// Metrics returns the collectors of the cluster's metrics. They are not registered yet.
func (s *Server) Metrics() []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "doit_cluster_peers",
			Help: "Other boxes of the cluster that this one is joined with.",
		}, func() float64 { return float64(len(s.peers())) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "doit_cluster_alone",
			Help: "1 if this box has --cluster-routes and has been joined with no other box for 10 seconds or longer, else 0.",
		}, func() float64 {
			if s.watch.warned() {
				return 1
			}
			return 0
		}),
	}
}
