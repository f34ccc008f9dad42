package natsd

import (
	"crypto/rand"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// idLength is the number of characters by which boxes of one label differ: 40 bits.
const idLength = 8

// unique returns the name by which nats-server knows this box, "label#id". It
// is new at each start. nats-server refuses a route to a box of its own name,
// and rented machines are often all called "vm" or "localhost".
func unique(label string) string { return label + "#" + strings.ToLower(rand.Text()[:idLength]) }

// labelOf returns the label of a name that unique made, else the name itself:
// versions before had no id.
func labelOf(name string) string {
	if i := strings.LastIndexByte(name, '#'); i >= 0 && len(name)-i-1 == idLength {
		return name[:i]
	}
	return name
}

// A peer is another box that this one is joined with.
type peer struct {
	name    string
	address string // from which it is seen, without a port
}

// peers returns the other boxes that this one is joined with, one for each.
func (s *Server) peers() []peer {
	routes, err := s.server.Routez(nil)
	if err != nil {
		return nil
	}
	byName := make(map[string]peer) // several connections lead to each
	for _, r := range routes.Routes {
		if p, ok := byName[r.RemoteName]; !ok || r.IP < p.address {
			byName[r.RemoteName] = peer{name: r.RemoteName, address: r.IP}
		}
	}
	return slices.SortedFunc(maps.Values(byName), func(a, b peer) int { return strings.Compare(a.name, b.name) })
}

// Boxes describes the cluster for a person: this box, then those that it is
// joined with. A box is shown by its label. Where two have the same label the
// names are shown, and the addresses of the others.
func (s *Server) Boxes() string {
	peers := s.peers()
	text := describe(s.server.Name(), peers)
	if len(peers) == 0 && len(s.watch.routes) > 0 {
		text += ", " + s.watch.state()
	}
	return text
}

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

// Alone reports whether this box is joined with no other: what is published
// then reaches this process only.
func (s *Server) Alone() bool { return s.server.NumRoutes() == 0 }

// Metrics returns the metrics of the cluster.
func (s *Server) Metrics() []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "doit_cluster_peers",
			Help: "Other boxes of the cluster that this one is joined with.",
		}, func() float64 { return float64(len(s.peers())) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "doit_cluster_alone",
			Help: "Whether this box has --cluster-routes, and has been joined with no other box for 10 seconds or longer: 1 or 0.",
		}, func() float64 {
			if s.watch.told() {
				return 1
			}
			return 0
		}),
	}
}
