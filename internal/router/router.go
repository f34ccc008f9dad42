// Package router is gin with what gin does not have: a route for every method.
package router

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// A Router is a gin engine. Routes are added before it serves; from then on it is safe for concurrent use.
type Router struct{ *gin.Engine }

// New returns a router that logs nothing (gin's logger prints query strings, which carry ids and payloads) and trusts
// no proxy.
func New() *Router {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.RedirectTrailingSlash = false
	_ = engine.SetTrustedProxies(nil) // fails for a malformed address only
	return &Router{engine}
}

// otherMethod is the method under which gin knows the routes of all methods that it does not know itself.
const otherMethod = "OTHER"

// EveryMethod routes each request to path to handle, whatever its method. handle sees the method OTHER in place of one
// that is not among net/http's constants.
func (r *Router) EveryMethod(path string, handle gin.HandlerFunc) {
	r.Any(path, handle)
	r.Handle(otherMethod, path, handle)
}

// ServeHTTP answers a request by its route, and 404 where there is none. gin has a table of routes for each method.
// [gin.RouterGroup.Any] fills those of net/http's constants, and no table can be named after a method like "post".
func (r *Router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	switch req.Method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodHead, http.MethodOptions,
		http.MethodDelete, http.MethodConnect, http.MethodTrace:
	default:
		other := *req
		other.Method = otherMethod
		req = &other
	}
	r.Engine.ServeHTTP(w, req)
}
