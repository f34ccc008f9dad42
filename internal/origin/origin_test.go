package origin

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

func patterns(t testing.TB, list string) (patterns []Pattern) {
	t.Helper()
	for s := range strings.FieldsSeq(list) {
		var p Pattern
		if err := p.UnmarshalText([]byte(s)); err != nil {
			t.Fatal(err)
		}
		patterns = append(patterns, p)
	}
	return patterns
}

// from returns a request with the Origin header.
func from(origin string) *http.Request { return &http.Request{Header: http.Header{"Origin": {origin}}} }

// The allowed origins can be replaced.
func TestPolicySet(t *testing.T) {
	const shop, news = "https://shop.example", "https://news.example"
	var p Policy
	if !p.Allows(from(shop)) {
		t.Error("the zero policy does not allow any origin")
	}
	for _, c := range []struct {
		list       string
		shop, news bool
	}{{shop, true, false}, {news, false, true}, {"", true, true}, {"null", false, false}} {
		p.Set(patterns(t, c.list))
		if got := p.Allows(from(shop)); got != c.shop {
			t.Errorf("%q: %s: %v", c.list, shop, got)
		}
		if got := p.Allows(from(news)); got != c.news {
			t.Errorf("%q: %s: %v", c.list, news, got)
		}
	}
}

// Which requests a page of another site has sent.
func TestForeign(t *testing.T) {
	listed := NewPolicy(patterns(t, "* https://*.shop.example null"))
	for _, c := range []struct {
		host, origin, site string
		foreign            bool
	}{
		{"a.example", "", "", false},
		{"a.example", "", "none", false},
		{"a.example", "", "same-origin", false},
		{"a.example", "", "same-site", false},
		{"a.example", "", "cross-site", true},
		{"a.example", "http://a.example", "", false},
		{"a.example", "https://a.example", "", false}, // TLS ends before this server
		{"a.example:80", "http://a.example", "", false},
		{"a.example:443", "https://a.example", "", false},
		{"A.example:1337", "HTTP://a.EXAMPLE:1337", "", false},
		{"[::1]:1337", "http://[::1]:1337", "", false},
		{"a.example:1337", "http://a.example", "", true},
		{"a.example", "http://a.example:1337", "", true},
		{"a.example", "http://b.a.example", "same-site", true},
		{"a.example", "http://a.example.evil", "", true},
		{"a.example", "http://*.a.example", "", true},
		{"a.example", "a.example", "", true},
		{"a.example", " ", "same-origin", true},
		{"", "http://", "", true},
		{"a.example/x", "http://a.example", "", true},
		{"a.example", "https://www.shop.example", "cross-site", false},
		{"a.example", "https://shop.example", "cross-site", true},
		{"a.example", "null", "", false},
	} {
		r := &http.Request{Host: c.host, Header: http.Header{}}
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		if c.site != "" {
			r.Header.Set("Sec-Fetch-Site", c.site)
		}
		if got := listed.Foreign(r); got != c.foreign {
			t.Errorf("%+v: %v", c, got)
		}
		if c.origin != "null" && c.origin != "https://www.shop.example" {
			if got := (*Policy)(nil).Foreign(r); got != c.foreign {
				t.Errorf("%+v, without a list: %v", c, got)
			}
			if got := new(Policy).Foreign(r); got != c.foreign {
				t.Errorf("%+v, with an empty list: %v", c, got)
			}
		}
	}
	two := &http.Request{Host: "a.example", Header: http.Header{"Origin": {"http://a.example", "http://a.example"}}}
	if !listed.Foreign(two) {
		t.Error("two origins are taken for one")
	}
}

func TestBadOrigins(t *testing.T) {
	for _, s := range []string{
		"", "shop.example", "*.shop.example", "//shop.example", "https:shop.example", "https://", "HTTP://", "wss://", "://", "file:", "file:/", "file:///", "file://*", "фаил://", "\u212a://", "https://shop.example/", "https://shop.example/path",
		"https://shop.example?x", "https://shop.example#x", "https://name@shop.example", "https://shop.example:", "https://shop.example:x", "https://shop.example:0", "https://shop.example:65536", "https://shop.example:123456",
		"https://*", "https://*:8080", "https://**.shop.example", "https://www.*.example", "https://*.[::1]", "https://магазин.рф", "https://shop example", "https://shop.example:80:80", "**",
	} {
		if err := new(Pattern).UnmarshalText([]byte(s)); err == nil || !strings.Contains(err.Error(), "https://*.shop.example") || !strings.Contains(err.Error(), "without a path") {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// The pages of an app have an origin without a host, which is no other's.
func TestOriginsWithoutHost(t *testing.T) {
	policy := NewPolicy(patterns(t, "file:// APP://"))
	for origin, want := range map[string]bool{
		"file://": true, "FILE://": true, "app://": true,
		"file:///": false, "file://x": false, "app://x": false, "https://": false, "http://": false, "null": false, "://": false, "other://": false,
	} {
		if got := policy.Allows(from(origin)); got != want {
			t.Errorf("%q: %v", origin, got)
		}
	}
}

// What is shown of an origin is short, printable, and in one line.
func TestSent(t *testing.T) {
	for sent, want := range map[string]string{
		"https://shop.example":          "https://shop.example",
		"null":                          "null",
		"https://магазин.рф":            `https://\u043c\u0430\u0433\u0430\u0437\u0438\u043d.\u0440\u0444`,
		"a\u202eb\x1b[31m\xff\x00":      `a\u202eb\x1b[31m\xff\x00`,
		"a\nlevel=ERROR":                `a\nlevel=ERROR`,
		strings.Repeat("x", maxShown):   strings.Repeat("x", maxShown),
		strings.Repeat("x", maxShown+1): strings.Repeat("x", maxShown) + "...",
	} {
		if got := Sent(from(sent)); got != want {
			t.Errorf("%q: %q, want %q", sent, got, want)
		}
	}
	if got := Sent(&http.Request{Header: http.Header{"Origin": {"a", "b"}}}); got != "a, b" {
		t.Errorf("two: %q", got)
	}
}

var fuzzedBelow = regexp.MustCompile(`^https://[a-z0-9._-]*\.below\.example(:0*443)?$`)

// Policy agrees with an independent implementation of the patterns.
func FuzzOrigin(f *testing.F) {
	for _, s := range []string{"https://a.below.example", "HTTPS://A.below.example:443", "https://below.example", "null", "*", "https://*.below.example", "https://evil.example/.below.example", "https://a.below.example:0443", "https://[::1].below.example", "https://a.below.example:0", "file://", "app://x"} {
		f.Add(s)
	}
	policy := NewPolicy(patterns(f, "https://*.below.example"))
	f.Fuzz(func(t *testing.T, s string) {
		if shown := Sent(from(s)); len(shown) > 10*maxShown+3 || strings.ContainsFunc(shown, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q is shown as %q", s, shown)
		}
		allowed := policy.Allows(from(s))
		if want := fuzzedBelow.MatchString(lower(s)); allowed != want {
			t.Errorf("%q: %v, want %v", s, allowed, want)
		}
		var o Pattern
		if o.UnmarshalText([]byte(s)) != nil || o.below {
			return
		}
		self := NewPolicy([]Pattern{o})
		if sent := strings.TrimSpace(s); !o.any && !self.Allows(from(sent)) {
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
