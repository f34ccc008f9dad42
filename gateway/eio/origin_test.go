package eio

import (
	"bufio"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

func origins(t testing.TB, list string) (origins []Origin) {
	t.Helper()
	for s := range strings.FieldsSeq(list) {
		var o Origin
		if err := o.UnmarshalText([]byte(s)); err != nil {
			t.Fatal(err)
		}
		origins = append(origins, o)
	}
	return origins
}

func TestOrigins(t *testing.T) {
	const shop = "https://shop.example http://localhost:8080 https://*.below.example https://*.port.example:444 capacitor://localhost http://[::1]:80"
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
		{shop, "null", false},
		{shop, "", false},
		{shop, "garbage", false},
		{shop + " null", "null", true},
		{shop + " null", "https://null", false},
		{"https://null", "null", false},
	} {
		a := start(t, func(cfg *Config) { cfg.Origins = origins(t, c.list) })
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
			wantAnswer(t, what+" from "+c.origin, got, http.StatusForbidden, `{"code":4,"message":"Forbidden"}`+"\n")
			for name := range got.header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%q of %q: %s: header %s", c.origin, c.list, what, name)
				}
			}
			if why := last.Swap(Refusal("")); why != RefusedOrigin || got.header.Get("Vary") != "Origin" || got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%q of %q: %s: %s %v", c.origin, c.list, what, why, got.header)
			}
		}
		w.send("4fence") // nobody else is concerned
		w.want("4fence")
		if !c.want && a.Sessions() != 2 {
			t.Errorf("%q of %q: %d sessions", c.origin, c.list, a.Sessions())
		}
	}
}

// Two are not one of the list.
func TestTwoOrigins(t *testing.T) {
	a := start(t, func(c *Config) { c.Origins = origins(t, "https://shop.example") })
	if got := a.handshake("EIO=4&transport=polling", "Origin", "https://shop.example", "Origin", "https://evil.example"); got.status != http.StatusForbidden {
		t.Errorf("%v", got)
	}
}

func TestBadOrigins(t *testing.T) {
	for _, s := range []string{
		"", "shop.example", "*.shop.example", "//shop.example", "https:shop.example", "https://", "https://shop.example/", "https://shop.example/path",
		"https://shop.example?x", "https://shop.example#x", "https://name@shop.example", "https://shop.example:", "https://shop.example:x", "https://shop.example:0", "https://shop.example:65536", "https://shop.example:123456",
		"https://*", "https://*:8080", "https://**.shop.example", "https://www.*.example", "https://*.[::1]", "https://магазин.рф", "https://shop example", "https://shop.example:80:80", "**",
	} {
		if err := new(Origin).UnmarshalText([]byte(s)); err == nil || !strings.Contains(err.Error(), "https://*.shop.example") || !strings.Contains(err.Error(), "without a path") {
			t.Errorf("%q: %v", s, err)
		}
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

var fuzzedBelow = regexp.MustCompile(`^https://[a-z0-9._-]*\.below\.example(:0*443)?$`)

// What is let in is what the list says, by a reading of its own.
func FuzzOrigin(f *testing.F) {
	for _, s := range []string{"https://a.below.example", "HTTPS://A.below.example:443", "https://below.example", "null", "*", "https://*.below.example", "https://evil.example/.below.example", "https://a.below.example:0443", "https://[::1].below.example", "https://a.below.example:0"} {
		f.Add(s)
	}
	srv := &Server{Config: Config{Origins: origins(f, "https://*.below.example")}}
	f.Fuzz(func(t *testing.T, s string) {
		allowed := srv.allowsOrigin(&http.Request{Header: http.Header{"Origin": {s}}})
		if want := fuzzedBelow.MatchString(lower(s)); allowed != want {
			t.Errorf("%q: %v, want %v", s, allowed, want)
		}
		var o Origin
		if o.UnmarshalText([]byte(s)) != nil || o.below {
			return
		}
		self := &Server{Config: Config{Origins: []Origin{o}}}
		if sent := strings.TrimSpace(s); !o.any && !self.allowsOrigin(&http.Request{Header: http.Header{"Origin": {sent}}}) {
			t.Errorf("%q does not allow itself", sent)
		}
	})
}

// lower is for ASCII only: no other letter may become one of it.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
