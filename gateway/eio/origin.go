package eio

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// An Origin is where pages may come from: one, all hosts below a domain, or any.
type Origin struct {
	any    bool
	below  bool // host is a domain, and only what is below it is meant
	scheme string
	host   string
	port   int // 0 is the scheme's own
}

var originForm = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*)://(\*\.)?([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]+))?$`)

// parseOrigin reads what a browser sends as Origin, and what an operator
// writes of it. Case, and the port that the scheme has anyway, mean nothing.
func parseOrigin(s string) (o Origin, ok bool) {
	if s == "null" {
		return Origin{host: "null"}, true
	}
	parts := originForm.FindStringSubmatch(s)
	if parts == nil || parts[2] != "" && parts[3][0] == '[' {
		return Origin{}, false
	}
	o = Origin{scheme: strings.ToLower(parts[1]), below: parts[2] != "", host: strings.ToLower(parts[3])}
	if parts[4] != "" {
		port, err := strconv.ParseUint(parts[4], 10, 16)
		if err != nil || port == 0 {
			return Origin{}, false
		}
		o.port = int(port)
	}
	if o.port == defaultPorts[o.scheme] {
		o.port = 0
	}
	return o, true
}

var defaultPorts = map[string]int{"http": 80, "https": 443}

// UnmarshalText reads one of a list of flags.
func (o *Origin) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(string(text))
	if s == "*" {
		*o = Origin{any: true}
		return nil
	}
	var ok bool
	if *o, ok = parseOrigin(s); !ok {
		return fmt.Errorf("%q is no origin: write scheme and host, with a port if it is not the scheme's own, without a path, "+
			"other letters than a-z as browsers send them (xn--...): https://shop.example, https://*.shop.example or http://localhost:8080", s)
	}
	return nil
}

// covers reports whether a page of origin page is meant.
func (o Origin) covers(page Origin) bool {
	if o.below && strings.HasSuffix(page.host, "."+o.host) {
		o.below, o.host = false, page.host
	}
	return o == page
}

// allowsOrigin reports whether the request may come from where it comes from.
//
// One without an Origin passes: programs send none, and browsers none with the
// GETs of a page of this very origin. That is no hole. Browsers send it with
// every websocket handshake and every request that a page of another origin
// could read the answer of. What it can send without, a GET into the blue,
// opens a session whose id it does not learn; and as no cookie means anything
// here, nothing is done in the visitor's name.
func (srv *Server) allowsOrigin(r *http.Request) bool {
	sent := r.Header["Origin"]
	if len(sent) == 0 || len(srv.Origins) == 0 {
		return true
	}
	page, ok := parseOrigin(sent[0])
	ok = ok && len(sent) == 1 && !page.below
	return slices.ContainsFunc(srv.Origins, func(o Origin) bool { return o.any || ok && o.covers(page) })
}
