package legacy

import (
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/ramainen/doit-socket/ingest/publish"
	"github.com/ramainen/doit-socket/internal/budget"
	"github.com/ramainen/doit-socket/internal/wire"
)

// Errors of an HTTP request. Packages publish and wire have those of an emit.
var (
	errMethod   = errors.New("/emit takes GET and POST")
	errTooLarge = errors.New("the body is larger than --max-body: send less, or raise it")
	errBody     = errors.New("the request body is incomplete")
)

// status maps an error of an emit to the HTTP status of the answer. A reserved event name (wire.ErrEvent) is answered
// 200, with the body ERROR, as an emit without receivers is: the original answered so.
func status(err error) int {
	switch {
	case err == nil, errors.Is(err, wire.ErrEvent):
		return http.StatusOK
	case errors.Is(err, errMethod):
		return http.StatusMethodNotAllowed
	case errors.Is(err, errTooLarge), errors.Is(err, publish.ErrTooLarge), errors.Is(err, publish.ErrEmitBytes):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, errBody), errors.Is(err, errTooManyParameters),
		errors.Is(err, publish.ErrReceivers), errors.Is(err, publish.ErrRepeats),
		errors.Is(err, wire.ErrID), errors.Is(err, wire.ErrData):
		return http.StatusBadRequest
	}
	// budget.ErrFull, publish.ErrBusy, publish.ErrNotSent, publish.ErrUnconfirmed, publish.ErrUnstable, and any error that
	// is not listed above.
	return http.StatusServiceUnavailable
}

// answer writes the answer to an emit: OK if err is nil and ok is set, else ERROR with the status of err.
func (a *API) answer(c *gin.Context, ok bool, err error) {
	code, body := status(err), "ERROR"
	if err == nil && ok {
		body = "OK"
	}
	if err != nil {
		a.log.Debug("emit refused", "status", code, "error", err)
	}
	a.metrics.answered(code, body)
	if errors.Is(err, publish.ErrBusy) || errors.Is(err, budget.ErrFull) {
		c.Writer.Header()["Retry-After"] = nextSecond
	}
	c.Writer.Header()["Content-Type"] = plainText
	c.Status(code)
	_, _ = c.Writer.WriteString(body)
}

var (
	plainText  = []string{"text/plain; charset=utf-8"}
	nextSecond = []string{"1"} // an emit runs for a second at most
)
