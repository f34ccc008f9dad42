package router

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
)

// No answer may be stored by a cache, unless its handler says otherwise.
func TestNothingIsStored(t *testing.T) {
	r := New()
	r.EveryMethod("/every", func(c *gin.Context) { c.Status(204) })
	r.GET("/script", func(c *gin.Context) { c.Header("Cache-Control", "public") })
	for path, want := range map[string]string{"GET /every": "no-store", "POST /every": "no-store", "X /every": "no-store", "GET /nothing": "no-store", "GET /script": "public"} {
		method, target, _ := strings.Cut(path, " ")
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest(method, target, nil))
		if got := w.Result().Header.Values("Cache-Control"); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// A route of EveryMethod answers methods that gin does not know. Other routes and paths behave as in gin.
func TestEveryMethod(t *testing.T) {
	r := New()
	r.EveryMethod("/every", func(c *gin.Context) { c.String(200, c.Request.Method) })
	r.Any("/any", func(c *gin.Context) { c.String(200, "any") })
	r.GET("/get", func(c *gin.Context) { c.String(200, "get") })
	for _, c := range []struct {
		method, path string
		status       int
		answer       string
	}{
		{"GET", "/every", 200, "GET"},
		{"POST", "/every", 200, "POST"},
		{"TRACE", "/every", 200, "TRACE"},
		{"CONNECT", "/every", 200, "CONNECT"},
		{"PROPFIND", "/every", 200, "OTHER"},
		{"OTHER", "/every", 200, "OTHER"},
		{"post", "/every", 200, "OTHER"},
		{"x-y", "/every", 200, "OTHER"},
		{"PROPFIND", "/every/", 404, "404 page not found"},
		{"PROPFIND", "/any", 404, "404 page not found"},
		{"OTHER", "/any", 404, "404 page not found"},
		{"TRACE", "/any", 200, "any"},
		{"GET", "/get", 200, "get"},
		{"GET", "/get/", 404, "404 page not found"},
		{"POST", "/get", 404, "404 page not found"},
		{"get", "/get", 404, "404 page not found"},
		{"GET", "/", 404, "404 page not found"},
	} {
		request := httptest.NewRequest(c.method, "http://x"+c.path, nil)
		request.URL.Path = c.path // of CONNECT httptest would keep the host only
		w := httptest.NewRecorder()
		r.ServeHTTP(w, request)
		if w.Code != c.status || w.Body.String() != c.answer || w.Header().Get("Allow") != "" {
			t.Errorf("%s %s: %d %q, want %d %q", c.method, c.path, w.Code, w.Body, c.status, c.answer)
		}
		if request.Method != c.method {
			t.Errorf("the request's method %q became %q", c.method, request.Method)
		}
	}
}
