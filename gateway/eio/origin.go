package eio

import (
	"errors"
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

var originForm = regexp.MustCompile(`^([a-z][a-z0-9+.-]*)://(\*\.)?([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?$`)

var errOrigin = errors.New("it is no origin")

// parseOrigin reads what a browser sends as Origin, and what an operator
// writes of it. Case, and the port that the scheme has anyway, mean nothing.
func parseOrigin(s string) (Origin, error) {
	if s == "null" {
		return Origin{host: "null"}, nil
	}
	parts := originForm.FindStringSubmatch(strings.ToLower(s))
	if parts == nil {
		return Origin{}, errOrigin
	}
	o := Origin{scheme: parts[1], below: parts[2] != "", host: parts[3]}
	o.port, _ = strconv.Atoi(parts[4])
	if o.port == defaultPorts[o.scheme] {
		o.port = 0
	}
	return o, nil
}

var defaultPorts = map[string]int{"http": 80, "https": 443}

// UnmarshalText reads one of a list of flags.
func (o *Origin) UnmarshalText(text []byte) (err error) {
	s := strings.TrimSpace(string(text))
	if s == "*" {
		*o = Origin{any: true}
		return nil
	}
	if *o, err = parseOrigin(s); err != nil {
		return fmt.Errorf("%q is no origin: write scheme and host, with a port if it is not the scheme's own, without a path, "+
			"as in https://shop.example, https://*.shop.example or http://localhost:8080; other letters than a-z as browsers send them, xn--...", s)
	}
	return nil
}

// covers reports whether a page of origin page is meant.
func (o Origin) covers(page Origin) bool {
	if o.below && strings.HasSuffix(page.host, "."+o.host) {
		o.below, o.host = false, page.host
	}
	return o.any || o == page
}

// allowsOrigin reports whether the request may come from where it comes from.
//
// One without an Origin passes: programs send none, and browsers none with the
// GETs of a page of this very origin. That is no hole. Browsers send it with
// every websocket handshake and every request that a page of another origin
// could read the answer of, and no cookie means anything here: there is
// nothing that a page could do in a visitor's name which its author could not
// do without the visitor.
func (srv *Server) allowsOrigin(r *http.Request) bool {
	sent := r.Header["Origin"]
	if len(sent) == 0 || len(srv.Origins) == 0 {
		return true
	}
	page, err := parseOrigin(sent[0])
	if err != nil || len(sent) > 1 || page.below {
		page = Origin{below: true} // that no page has: only "any" covers it
	}
	return slices.ContainsFunc(srv.Origins, func(o Origin) bool { return o.covers(page) })
}
