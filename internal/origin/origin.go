// Package origin decides which pages may connect, by their origin. The allowed
// origins can be changed at any time.
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

// A Pattern is a set of origins: one origin, those of all subdomains of a
// domain, or all.
type Pattern struct {
	any    bool // all origins
	below  bool // the subdomains of host, at any depth, without host itself
	scheme string
	host   string
	port   int // 0 is the scheme's default
}

var originForm = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*)://(\*\.)?([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]+))?$`)

// parse parses an Origin header or an operator's pattern. It ignores case and
// drops the scheme's default port.
func parse(s string) (p Pattern, ok bool) {
	if s == "null" {
		return Pattern{host: "null"}, true
	}
	if app := hostless.FindStringSubmatch(s); app != nil {
		scheme := strings.ToLower(app[1])
		return Pattern{scheme: scheme}, !withHost[scheme]
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

// hostless is an origin without a host, which an app sends for its own pages:
// Cordova sends file://.
var hostless = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*)://$`)

// withHost are the schemes whose origins always have a host.
var withHost = map[string]bool{"http": true, "https": true, "ws": true, "wss": true}

var defaultPorts = map[string]int{"http": 80, "https": 443}

// UnmarshalText parses one element of a flag's list.
func (p *Pattern) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(string(text))
	if s == "*" {
		*p = Pattern{any: true}
		return nil
	}
	var ok bool
	if *p, ok = parse(s); !ok {
		return fmt.Errorf("%q is not an origin: write scheme and host without a path, and the port if it is not the scheme's default, "+
			"such as https://shop.example, https://*.shop.example or http://localhost:8080, or file:// for the pages of an app; "+
			"write an internationalized host as browsers send it (xn--...)", s)
	}
	return nil
}

// matches reports whether the pattern includes the origin page.
func (p Pattern) matches(page Pattern) bool {
	if p.below && strings.HasSuffix(page.host, "."+p.host) {
		p.below, p.host = false, page.host
	}
	return p == page
}

// A Policy says which origins may connect. The zero value allows all. It is safe
// for concurrent use.
type Policy struct {
	patterns atomic.Pointer[[]Pattern]
}

// NewPolicy returns a policy that allows the origins of the patterns. Without
// patterns it allows all.
func NewPolicy(patterns []Pattern) *Policy {
	p := new(Policy)
	p.Set(patterns)
	return p
}

// Set replaces the patterns. Without patterns all origins are allowed.
func (p *Policy) Set(patterns []Pattern) { p.patterns.Store(&patterns) }

// Allows reports whether the request's Origin header is allowed.
//
// A request without the header is allowed: programs send none, and browsers send
// none with the GETs of a page of the same origin. This is safe. Browsers send
// the header with every websocket handshake, and with every request whose answer
// a page of another origin could read. Without it such a page can only send a
// GET whose answer it cannot read: that opens a session, whose id the page does
// not learn. The server reads no cookies, so the request has no rights of the
// visitor's.
func (p *Policy) Allows(r *http.Request) bool {
	patterns := p.patterns.Load()
	sent := r.Header["Origin"]
	if len(sent) == 0 || patterns == nil || len(*patterns) == 0 {
		return true
	}
	page, ok := parse(sent[0])
	ok = ok && len(sent) == 1 && !page.below
	return slices.ContainsFunc(*patterns, func(one Pattern) bool { return one.any || ok && one.matches(page) })
}

// Foreign reports whether a page of another site has sent the request. Its Origin
// is then neither this server, by the request's Host, nor listed; a pattern for
// all origins lists none. A request without Origin, such as that for an image, is
// foreign if its browser says so (Sec-Fetch-Site).
//
// A nil policy lists no origin. A name of another site that resolves to this
// server's address is this server.
func (p *Policy) Foreign(r *http.Request) bool {
	sent := r.Header["Origin"]
	if len(sent) == 0 {
		return r.Header.Get("Sec-Fetch-Site") == "cross-site"
	}
	page, ok := parse(sent[0])
	if !ok || len(sent) > 1 || page.below {
		return true
	}
	if here, ok := parse(page.scheme + "://" + r.Host); ok && here == page {
		return false
	}
	if p == nil {
		return true
	}
	patterns := p.patterns.Load()
	return patterns == nil || !slices.ContainsFunc(*patterns, func(one Pattern) bool { return !one.any && one.matches(page) })
}

// maxShown is how many bytes of an origin are shown.
const maxShown = 100

// Sent returns the origin that a request names, for a log: its first bytes, with
// everything but printable ASCII escaped, since a stranger may have written it.
func Sent(r *http.Request) string {
	sent := strings.Join(r.Header["Origin"], ", ")
	shown := strconv.QuoteToASCII(sent[:min(len(sent), maxShown)])
	shown = shown[1 : len(shown)-1]
	if len(sent) > maxShown {
		shown += "..."
	}
	return shown
}
