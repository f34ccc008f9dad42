package daemon

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// adminHosts returns the host names by which the private listener may be asked.
// The name in --admin-listen is one: --healthcheck uses it.
func (c Config) adminHosts() []string {
	name, _, _ := net.SplitHostPort(c.AdminListen)
	return append(slices.Clone(c.AdminHosts), name)
}

// allowsHost reports whether a request with this Host header may be answered: an
// IP address, localhost, or one of hosts, with any port.
//
// A page of a stranger can make its own name resolve to 127.0.0.1, or to an
// address of the private network, and so have the browser of somebody there
// read the private listener (DNS rebinding). The browser then sends the page's
// name as Host. A request without Host comes from no browser.
func allowsHost(header string, hosts []string) bool {
	host := header
	if name, _, err := net.SplitHostPort(header); err == nil {
		host = name
	}
	host = strings.TrimSuffix(host, ".")
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	return header == "" || strings.EqualFold(host, "localhost") || slices.ContainsFunc(hosts, func(allowed string) bool {
		return allowed != "" && strings.EqualFold(host, allowed)
	})
}

// refuseHost answers a request with a foreign Host. The status is 403 and not
// 421 (Misdirected Request): on 421 a client may try again by itself.
func refuseHost(w http.ResponseWriter) {
	http.Error(w, "the private listener does not answer to this host name, because a page could use it to read this through a browser; "+
		"ask by IP address, or allow the name with --admin-hosts", http.StatusForbidden)
}
