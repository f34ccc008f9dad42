package eio

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/origin"
)

func origins(t testing.TB, list string) (patterns []origin.Pattern) {
	t.Helper()
	for s := range strings.FieldsSeq(list) {
		var p origin.Pattern
		if err := p.UnmarshalText([]byte(s)); err != nil {
			t.Fatal(err)
		}
		patterns = append(patterns, p)
	}
	return patterns
}

func TestOrigins(t *testing.T) {
	const shop = "https://shop.example http://localhost:8080 https://*.below.example https://*.port.example:444 capacitor://localhost http://[::1]:80 file://"
	for _, c := range []struct {
		list, origin string
		want         bool
	}{
		{"", "https://anywhere.example", true},
		{"", "null", true},
		{"", "garbage", true},
		{"*", "https://anywhere.example", true},
		{"*", "null", true},
		{"*", "garbage", true},
		{shop + " *", "https://anywhere.example", true},
		{shop, "https://shop.example", true},
		{shop, "HTTPS://Shop.Example", true},
		{shop, "https://shop.example:443", true},
		{shop, "https://shop.example:0443", true},
		{shop, "https://shop.example:444", false},
		{shop, "http://shop.example", false},
		{shop, "http://shop.example:443", false},
		{shop, "https://www.shop.example", false},
		{shop, "https://shop.example.evil.example", false},
		{shop, "https://evilshop.example", false},
		{shop, "https://shop.example@evil.example", false},
		{shop, "https://evil.example/https://shop.example", false},
		{shop, "https://shop.example/", false},
		{shop, " https://shop.example", true}, // net/http trims it
		{shop, "https://shop.example https://evil.example", false},
		{shop, "https://shop.example,https://evil.example", false},
		{shop, "http://localhost:8080", true},
		{shop, "http://localhost", false},
		{shop, "http://[::1]", true},
		{shop, "https://a.below.example", true},
		{shop, "https://a.b.below.example:443", true},
		{shop, "https://A.BELOW.example", true},
		{shop, "https://below.example", false},
		{shop, "https://.below.example", true}, // no browser sends that
		{shop, "https://evilbelow.example", false},
		{shop, "http://a.below.example", false},
		{shop, "https://a.below.example:444", false},
		{shop, "https://a.below.example.evil.example", false},
		{shop, "https://*.below.example", false},
		{shop, "*", false},
		{shop, "https://a.port.example:444", true},
		{shop, "https://a.port.example", false},
		{shop, "capacitor://localhost", true},
		{shop, "file://", true},
		{shop, "FILE://", true},
		{shop, "file:///", false},
		{shop, "file://localhost", false},
		{shop, "https://", false},
		{"https://shop.example", "file://", false},
		{shop, "null", false},
		{shop, "", false},
		{shop, "garbage", false},
		{shop + " null", "null", true},
		{shop + " null", "https://null", false},
		{"https://null", "null", false},
	} {
		a := start(t, func(cfg *config) { cfg.origins = origins(t, c.list) })
		last := a.refusing()
		p := a.poll(4) // without an Origin
		w := a.socket(4)
		query := "EIO=4&transport=polling"
		for _, request := range []struct {
			what string
			ask  func() answer
		}{
			{"a handshake on polling", func() answer { return a.newPoller(query).request(http.MethodGet, "", "Origin", c.origin) }},
			{"a preflight", func() answer { return a.newPoller(query).request(http.MethodOptions, "", "Origin", c.origin) }},
			{"a POST", func() answer { return p.request(http.MethodPost, "4x", "Origin", c.origin) }},
			{"a GET", func() answer { return p.request(http.MethodGet, "", "Origin", c.origin) }},
			{"a websocket", func() answer { return a.handshake("EIO=4&transport=websocket", "Origin", c.origin) }},
			{"an upgrade", func() answer {
				return a.handshake(strings.Replace(p.query, "polling", "websocket", 1), "Origin", c.origin)
			}},
		} {
			what, got := request.what, request.ask()
			if c.want {
				if got.status >= http.StatusBadRequest || c.origin != "" && got.header.Get("Access-Control-Allow-Origin") != strings.TrimSpace(c.origin) && got.status != http.StatusSwitchingProtocols {
					t.Errorf("%q of %q: %s: %v", c.origin, c.list, what, got)
				}
				continue
			}
			wantAnswer(t, what+" from "+c.origin, got, http.StatusForbidden, `{"code":4,"message":"Forbidden: pages of this origin may not connect here. The operator of this server can allow it with --origins"}`+"\n")
			for name := range got.header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%q of %q: %s: header %s", c.origin, c.list, what, name)
				}
			}
			if why := last.Swap(Refusal("")); why != RefusedOrigin || got.header.Get("Vary") != "Origin" || got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%q of %q: %s: %s %v", c.origin, c.list, what, why, got.header)
			}
		}
		w.send("4fence") // open sessions are not affected
		w.want("4fence")
		if !c.want && a.Sessions() != 2 {
			t.Errorf("%q of %q: %d sessions", c.origin, c.list, a.Sessions())
		}
	}
}

// Two are not one of the list.
func TestTwoOrigins(t *testing.T) {
	a := start(t, func(c *config) { c.origins = origins(t, "https://shop.example") })
	if got := a.handshake("EIO=4&transport=polling", "Origin", "https://shop.example", "Origin", "https://evil.example"); got.status != http.StatusForbidden {
		t.Errorf("%v", got)
	}
}

// handshake sends a request for a websocket, or another one, as it stands, and returns what comes back at once.
func (a *app) handshake(query string, headers ...string) answer {
	a.t.Helper()
	conn, err := a.dial()
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	request := "GET /socket.io/?" + query + " HTTP/1.1\r\n"
	for i := 0; i < len(headers); i += 2 {
		request += headers[i] + ": " + headers[i+1] + "\r\n"
	}
	if !strings.Contains(query, "polling") {
		request += websocketHeaders
	} else {
		request += "Host: test\r\n\r\n"
	}
	go func() { _, _ = conn.Write([]byte(request)) }()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		a.t.Fatalf("handshake: %v", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body := make([]byte, max(0, resp.ContentLength))
	if _, err := bufio.NewReader(resp.Body).Read(body); err != nil && len(body) > 0 {
		a.t.Fatalf("handshake: %v", err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}
