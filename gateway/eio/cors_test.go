package eio

import (
	"net/http"
	"strings"
	"testing"

	"github.com/ramainen/doit-socket/gateway/ws"
)

func TestCORS(t *testing.T) {
	a := start(t)
	const origin = "https://shop.example"
	query := "EIO=4&transport=polling"
	for method, p := range map[string]*pollClient{"GET": a.newPoller(query), "OPTIONS": a.newPoller(query), "PUT": a.newPoller(query)} {
		got := p.request(method, "", "Origin", origin)
		h := got.header
		if h.Get("Access-Control-Allow-Origin") != origin || h.Get("Access-Control-Allow-Credentials") != "true" || h.Get("Vary") != "Origin" {
			t.Errorf("%s: %v", method, h)
		}
		if preflight := method == "OPTIONS"; preflight != (h.Get("Access-Control-Allow-Methods") == "GET, POST") || preflight != (got.status == http.StatusNoContent) {
			t.Errorf("%s: %d %v", method, got.status, h)
		}
	}
	if h := a.newPoller(query).get().header; h.Get("Access-Control-Allow-Origin") != "" || h.Get("Cache-Control") != "no-store" {
		t.Errorf("without an origin: %v", h)
	}
}

// preflights are the headers that a preflight asks for, and those that are allowed.
var preflights = map[string]string{
	"":                                   "Content-Type",
	"content-type":                       "Content-Type",
	"baggage,sentry-trace":               "Content-Type, baggage, sentry-trace",
	"authorization, Content-type ,\tx-y": "Content-Type, authorization, x-y",
	strings.Repeat("x", 4<<10):           "Content-Type, " + strings.Repeat("x", 4<<10),

	strings.Repeat("x", 4<<10+1): "Content-Type",
	"*, a b":                     "Content-Type",
	"a,,b":                       "Content-Type",
	"a:b":                        "Content-Type",
	"\"a\"":                      "Content-Type",
	"ключ":                       "Content-Type",
	"a\r\nSet-Cookie: x":         "Content-Type",
}

func TestAllowedHeaders(t *testing.T) {
	for asked, want := range preflights {
		if got := allowedHeaders(asked); got != want {
			t.Errorf("%.60q: %.60q, want %.60q", asked, got, want)
		}
	}
}

// What is allowed is a list of names, of which each was asked for but Content-Type.
func FuzzAllowedHeaders(f *testing.F) {
	for asked := range preflights {
		f.Add(asked)
	}
	f.Fuzz(func(t *testing.T, asked string) {
		names := strings.Split(allowedHeaders(asked), ", ")
		if names[0] != "Content-Type" {
			t.Errorf("%q: %q", asked, names)
		}
		for _, name := range names[1:] {
			if !ws.IsToken(name) || !strings.Contains(asked, name) || len(asked) > maxRequestHeaders {
				t.Errorf("%q: %q", asked, names)
			}
		}
	})
}

// A page of an allowed origin may send the headers that its preflight asks for. No
// other page may send any.
func TestPreflight(t *testing.T) {
	a := start(t, func(c *config) { c.origins = origins(t, "https://shop.example") })
	p := a.newPoller("EIO=4&transport=polling")
	ask := func(origin string) answer {
		return p.request(http.MethodOptions, "", "Origin", origin, "Access-Control-Request-Method", "GET", requestHeaders, "baggage,sentry-trace")
	}
	got := ask("https://shop.example")
	if h := got.header; got.status != http.StatusNoContent || h.Get("Access-Control-Allow-Headers") != "Content-Type, baggage, sentry-trace" ||
		strings.Join(h.Values("Vary"), ", ") != "Origin, "+requestHeaders {
		t.Errorf("%v", got)
	}
	if got := ask("https://evil.example"); got.status != http.StatusForbidden || got.header.Get("Access-Control-Allow-Headers") != "" || strings.Join(got.header.Values("Vary"), ", ") != "Origin" {
		t.Errorf("%v", got)
	}
}
