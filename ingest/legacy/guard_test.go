package legacy

import (
	"testing"

	"github.com/ramainen/doit-socket/internal/origin"
)

// Without --open, a request that a proxy has forwarded, or that a page of another site has sent, may neither emit nor ask
// for the sums.
func TestLocal(t *testing.T) {
	b := newBench(t)
	b.listen("u")
	var listed, all origin.Pattern
	if listed.UnmarshalText([]byte("https://*.shop.example")) != nil || all.UnmarshalText([]byte("*")) != nil {
		t.Fatal("no patterns")
	}
	const here = "localhost:1337"
	for _, c := range []struct {
		about   string
		headers []string
		refused bool
	}{
		{"PHP", nil, false},
		{"a browser's address bar", []string{"Sec-Fetch-Site", "none"}, false},
		{"this server's page", []string{"Host", here, "Origin", "http://" + here, "Sec-Fetch-Site", "same-origin"}, false},
		{"a page of a listed site", []string{"Host", here, "Origin", "https://www.shop.example", "Sec-Fetch-Site", "cross-site"}, false},
		{"a page of another port", []string{"Host", here, "Origin", "http://localhost:8080"}, true},
		{"a page of another site", []string{"Host", here, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, true},
		{"an image of another site", []string{"Host", here, "Sec-Fetch-Site", "cross-site"}, true},
		{"a sandboxed page", []string{"Host", here, "Origin", "null"}, true},
		{"nginx", []string{"X-Forwarded-For", "192.0.2.1"}, true},
		{"nginx, with X-Real-IP", []string{"X-Real-IP", "192.0.2.1"}, true},
		{"Forwarded", []string{"Forwarded", "for=192.0.2.1"}, true},
		{"a stranger who says that he is here", []string{"X-Forwarded-For", "127.0.0.1"}, true},
		{"an empty header", []string{"X-Forwarded-For", ""}, true},
		{"this server's page through a proxy", []string{"Host", "push.example", "Origin", "https://push.example", "X-Forwarded-For", "192.0.2.1"}, true},
	} {
		for _, request := range []string{"GET", "POST", "stat"} {
			for _, open := range []bool{false, true} {
				w := newWitness(b.publisher, func(a *API) {
					a.Local, a.Origins = !open, origin.NewPolicy([]origin.Pattern{all, listed})
				})
				method, target, want := request, "/emit?id=u&message=e", "OK"
				if request == "stat" {
					method, target, want = "GET", "/stat/all", "0"
				}
				status := 200
				if c.refused && !open {
					status, want = 403, "ERROR"
				}
				if got := w.ask(method, target, "", c.headers...); got.Code != status || got.Body.String() != want {
					t.Errorf("%s, %s, open %v: %d %s, want %d", c.about, request, open, got.Code, got.Body, status)
				}
			}
		}
	}
}
