// Package router is gin with additions: a route for every HTTP method, including unknown ones; doubled slashes; and a
// prefix of all paths.
package router

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// A Router is a gin engine. Add all routes before it serves. While it serves it is safe for concurrent use.
type Router struct {
	*gin.Engine
	// Prefix, if not empty, is a path such as /push, below which all routes are served, too. It begins with a slash and
	// does not end with one. It is set before the router serves.
	Prefix string
}

// New returns a router that logs nothing (gin's logger prints query strings, which carry ids and payloads) and trusts
// no proxy.
func New() *Router {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.RedirectTrailingSlash = false
	_ = engine.SetTrustedProxies(nil) // only a malformed address is an error
	return &Router{Engine: engine}
}

// otherMethod is the method under which the routes for unknown methods are registered with gin.
const otherMethod = "OTHER"

// EveryMethod routes every request for path to handle, with any method. If net/http has no constant for the method,
// handle sees the method OTHER.
func (r *Router) EveryMethod(path string, handle gin.HandlerFunc) {
	r.Any(path, handle)
	r.Handle(otherMethod, path, handle)
}

// noStore is the default of Cache-Control. An answer without it may be kept by a cache, which then answers the next
// emit by itself.
var noStore = []string{"no-store"}

// ServeHTTP implements [http.Handler]. It answers 404 if the request has no route. A route is found by the path that is
// left when its escapes are decoded once, doubled slashes are merged, and the prefix is cut off. No answer may be stored
// by a cache, unless its handler sets another Cache-Control.
//
// gin has a table of routes for each method. [gin.RouterGroup.Any] fills the tables of the methods that net/http has
// constants for, and gin accepts no route for a method like "post". So ServeHTTP changes other methods to OTHER.
func (r *Router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	w.Header()["Cache-Control"] = noStore
	switch req.Method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodHead, http.MethodOptions,
		http.MethodDelete, http.MethodConnect, http.MethodTrace:
	default:
		other := *req
		other.Method = otherMethod
		req = &other
	}
	r.Engine.ServeHTTP(w, r.normal(req))
}
