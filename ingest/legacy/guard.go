package legacy

import (
	"net/http"

	"github.com/ramainen/doit-socket/internal/visitor"
)

// admit returns an error if the API is [API.Local] and a request comes from elsewhere: a proxy has forwarded it, or a
// page of another site has sent it. Whom the proxy names does not matter, because a stranger may have written that.
//
// A proxy that adds none of the headers cannot be told from a program on this machine.
func (a *API) admit(r *http.Request) error {
	switch {
	case !a.Local:
		return nil
	case visitor.Forwarded(r.Header):
		return errForwarded
	case a.Origins.Foreign(r):
		return errForeignPage
	}
	return nil
}
