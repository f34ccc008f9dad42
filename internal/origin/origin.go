// Package origin knows the origins of pages that may connect, and can be told
// of others while it is asked.
package origin

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

// A Pattern is a set of origins: one, those of all hosts below a domain, or any.
type Pattern struct {
	any    bool
	below  bool // host is a domain, and only what is below it is meant
	scheme string
	host   string
	port   int // 0 is the scheme's own
}

var originForm = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*)://(\*\.)?([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]+))?$`)

// parse reads what a browser sends as Origin, and what an operator
// writes of it. Case, and the port that the scheme has anyway, mean nothing.
func parse(s string) (p Pattern, ok bool) {
	if s == "null" {
		return Pattern{host: "null"}, true
	}
	parts := originForm.FindStringSubmatch(s)
	if parts == nil || parts[2] != "" && parts[3][0] == '[' {
		return Pattern{}, false
	}
	p = Pattern{scheme: strings.ToLower(parts[1]), below: parts[2] != "", host: strings.ToLower(parts[3])}
	if parts[4] != "" {
		port, err := strconv.ParseUint(parts[4], 10, 16)
		if err != nil || port == 0 {
			return Pattern{}, false
		}
		p.port = int(port)
	}
	if p.port == defaultPorts[p.scheme] {
		p.port = 0
	}
	return p, true
}

var defaultPorts = map[string]int{"http": 80, "https": 443}

// UnmarshalText reads one of a list of flags.
func (p *Pattern) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(string(text))
	if s == "*" {
		*p = Pattern{any: true}
		return nil
	}
	var ok bool
	if *p, ok = parse(s); !ok {
		return fmt.Errorf("%q is no origin: write scheme and host, with a port if it is not the scheme's own, without a path, "+
			"other letters than a-z as browsers send them (xn--...): https://shop.example, https://*.shop.example or http://localhost:8080", s)
	}
	return nil
}

// covers reports whether a page of origin page is meant.
func (p Pattern) covers(page Pattern) bool {
	if p.below && strings.HasSuffix(page.host, "."+p.host) {
		p.below, p.host = false, page.host
	}
	return p == page
}

// A Policy says which pages may connect. The zero value lets all of them. It
// is safe for concurrent use.
type Policy struct {
	patterns atomic.Pointer[[]Pattern]
}

// NewPolicy returns a policy that allows the origins of the patterns; with none, any.
func NewPolicy(patterns []Pattern) *Policy {
	p := new(Policy)
	p.Set(patterns)
	return p
}

// Set replaces the patterns. With none any origin is allowed.
func (p *Policy) Set(patterns []Pattern) { p.patterns.Store(&patterns) }

// Allows reports whether the request may come from where it comes from.
//
// A request without an Origin passes: programs send none, and browsers send
// none with the GETs of a page of this very origin. That is no hole. Browsers
// send it with every websocket handshake and with every request whose answer a
// page of another origin could read. What such a page can send without it, a
// GET whose answer it cannot read, opens a session whose id it does not learn.
// No cookie means anything here, so nothing is done in the visitor's name.
func (p *Policy) Allows(r *http.Request) bool {
	patterns := p.patterns.Load()
	sent := r.Header["Origin"]
	if len(sent) == 0 || patterns == nil || len(*patterns) == 0 {
		return true
	}
	page, ok := parse(sent[0])
	ok = ok && len(sent) == 1 && !page.below
	return slices.ContainsFunc(*patterns, func(one Pattern) bool { return one.any || ok && one.covers(page) })
}
