package router

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
)

// Spellings are request targets, and the path that each one is routed as: "" if
// it has no route. A route is found by the path that is left when its escapes
// are decoded once and doubled slashes are merged, and by nothing else.
var spellings = map[string]string{
	"/emit":                     "/emit",
	"/%65mit":                   "/emit",
	"/%65%6D%69%74":             "/emit",
	"/%65%6d%69%74?id=1":        "/emit",
	"/emi%74?x=/other":          "/emit",
	"http://any.example/emit":   "/emit",
	"http://any.example/%65mit": "/emit",
	"/emit/":                    "/emit/",
	"/%65mit/":                  "/emit/",
	"/emit%2F":                  "/emit/",
	"/emit%2f":                  "/emit/",
	"%2Femit":                   "", // net/http answers 400
	"/%2565mit":                 "", // decoded once, not twice
	"//emit":                    "/emit",
	"/%2Femit":                  "/emit",
	"///emit":                   "/emit",
	"//any.example/emit":        "",
	"/./emit":                   "",
	"/%2E/emit":                 "",
	"/../emit":                  "",
	"/x/../emit":                "",
	"/emit/.":                   "",
	"/emit/..":                  "",
	"/emit//":                   "/emit/",
	"/emit/%2F":                 "/emit/",
	"/emit/%252F":               "",
	"//x/..//emit":              "",
	"/emit/x":                   "",
	"/EMIT":                     "",
	"/Emit":                     "",
	"/%45mit":                   "",
	"/emit%00":                  "",
	"/emit%20":                  "",
	"/emit+":                    "",
	"/emit;x=1":                 "",
	"/emit%3Fid=1":              "",
	"/emit%23":                  "",
	"/emit\\":                   "",
	"/em%C4%B1t":                "", // a dotless i
	"/e%00mit":                  "",
	"*":                         "",
	"/":                         "",
}

// However a path is spelled, it has the route of the path that it means, or none:
// there is no redirect and no second handler with other rules.
func TestSpellings(t *testing.T) {
	r := New()
	for _, path := range []string{"/emit", "/emit/"} {
		r.EveryMethod(path, func(c *gin.Context) { c.String(200, path) })
	}
	for _, method := range []string{"GET", "POST", "PROPFIND"} {
		for target, want := range spellings {
			request, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + target + " HTTP/1.1\r\nHost: x\r\n\r\n")))
			if err != nil {
				if want != "" {
					t.Errorf("%s %s: %v", method, target, err)
				}
				continue
			}
			w := httptest.NewRecorder()
			r.ServeHTTP(w, request)
			switch {
			case want == "" && w.Code != 404:
				t.Errorf("%s %s: %d %q, want 404", method, target, w.Code, w.Body)
			case want != "" && (w.Code != 200 || w.Body.String() != want):
				t.Errorf("%s %s: %d %q, want %q", method, target, w.Code, w.Body, want)
			}
		}
	}
}
