package router

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
)

// prefixed are request targets to a router with the prefix /push/a, and the path
// that each one is routed as, "" if it has no route.
var prefixed = map[string]string{
	"/push/a/emit":          "/emit",
	"/push/a/emit/?id=1":    "/emit/",
	"/push/a//emit":         "/emit",
	"//push//a/emit":        "/emit",
	"/%70ush/a%2Femit":      "/emit",
	"/push/a":               "/",
	"/push/a/":              "/",
	"/push/a//":             "/",
	"/push/a?x":             "/",
	"http://x/push/a/emit":  "/emit",
	"/emit":                 "/emit", // as it was without a prefix
	"/":                     "/",
	"/push/a/push/a/emit":   "",
	"/push/emit":            "",
	"/push":                 "",
	"/push/aemit":           "",
	"/push/a%2F%2e%2e/emit": "",
	"/push/a/../emit":       "",
	"/PUSH/a/emit":          "",
	"/push/a;x/emit":        "",
	"/x/push/a/emit":        "",
	"/push/a/emit/push/a":   "",
	"/push/a%252Femit":      "",
	"/push%00/a/emit":       "",
	"/push/a\\emit":         "",
}

// Below the prefix there is each route that there is without it, for every method.
func TestPrefix(t *testing.T) {
	r := New()
	r.Prefix = "/push/a"
	for _, path := range []string{"/", "/emit", "/emit/"} {
		r.EveryMethod(path, func(c *gin.Context) { c.String(200, path) })
	}
	for _, method := range []string{"GET", "POST", "PROPFIND"} {
		for target, want := range prefixed {
			request := read(t, method, target)
			before := *request.URL
			w := httptest.NewRecorder()
			r.ServeHTTP(w, request)
			switch {
			case want == "" && w.Code != 404:
				t.Errorf("%s %s: %d %q, want 404", method, target, w.Code, w.Body)
			case want != "" && (w.Code != 200 || w.Body.String() != want):
				t.Errorf("%s %s: %d %q, want %q", method, target, w.Code, w.Body, want)
			}
			if *request.URL != before {
				t.Errorf("%s became %s", &before, request.URL)
			}
		}
	}
}

// The query is that of the request.
func TestPrefixKeepsQuery(t *testing.T) {
	r := New()
	r.Prefix = "/push"
	r.GET("/emit", func(c *gin.Context) { c.String(200, c.Request.URL.RawQuery) })
	w := httptest.NewRecorder()
	if r.ServeHTTP(w, read(t, "GET", "/push//emit?a=//b&c=%2F")); w.Body.String() != "a=//b&c=%2F" {
		t.Error(w.Body)
	}
}

func read(t testing.TB, method, target string) *http.Request {
	t.Helper()
	request, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + target + " HTTP/1.1\r\nHost: x\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	return request
}

// However a path is written, it is routed as one without doubled slashes. If the
// prefix is not in it, nothing else is changed.
func FuzzPath(f *testing.F) {
	for target := range prefixed {
		f.Add(target)
	}
	r := New()
	r.Prefix = "/push/a"
	f.Fuzz(func(t *testing.T, target string) {
		request, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n")))
		if err != nil {
			return
		}
		path := r.normal(request).URL.Path
		if strings.Contains(path, "//") || len(path) > len(request.URL.Path) {
			t.Errorf("%q is routed as %q", request.URL.Path, path)
		}
		if !strings.Contains(merge(request.URL.Path), r.Prefix) && path != merge(request.URL.Path) {
			t.Errorf("%q is routed as %q", request.URL.Path, path)
		}
	})
}
