package daemon

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// MountPages adds pages, by path, to r. They are served for GET and HEAD. OPTIONS
// is answered with 204: some balancers ask for / so, by default.
func MountPages(r gin.IRouter, pages map[string]http.Handler) {
	for path, page := range pages {
		r.Match([]string{http.MethodGet, http.MethodHead}, path, gin.WrapH(page))
		r.OPTIONS(path, func(c *gin.Context) {
			c.Header("Allow", readMethods)
			c.Status(http.StatusNoContent)
		})
	}
}
