package router

import (
	"net/http"
	"strings"
)

// normal returns the request with the path that is routed. Doubled slashes become
// one: PHP's address of the server may end with a slash, to which "/emit" is
// appended. Then the prefix is cut off, which a proxy in front has not done. A
// path without the prefix stays as it is. The request itself is not changed.
func (r *Router) normal(req *http.Request) *http.Request {
	path := merge(req.URL.Path)
	if rest, ok := strings.CutPrefix(path, r.Prefix); ok && r.Prefix != "" && (rest == "" || rest[0] == '/') {
		path = "/" + strings.TrimPrefix(rest, "/")
	}
	if path == req.URL.Path {
		return req
	}
	other, url := *req, *req.URL
	url.Path, url.RawPath = path, ""
	other.URL = &url
	return &other
}

// merge returns the path with one slash for each row of them.
func merge(path string) string {
	if !strings.Contains(path, "//") {
		return path
	}
	merged := make([]byte, 0, len(path))
	for i := range len(path) {
		if path[i] != '/' || i == 0 || path[i-1] != '/' {
			merged = append(merged, path[i])
		}
	}
	return string(merged)
}
