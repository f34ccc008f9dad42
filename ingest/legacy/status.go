package legacy

import (
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/ramainen/doit-socket/ingest/publish"
	"github.com/ramainen/doit-socket/internal/wire"
)

// Errors of a request, besides those of publish and wire.
var (
	errMethod   = errors.New("/emit takes GET and POST")
	errTooLarge = errors.New("the body is larger than --max-body: send less, or raise it")
	errBody     = errors.New("the body did not arrive whole")
)

// status is the one table from an error to an HTTP status. A request that no browser could hear, for want of a
// receiver or because clients refuse the event's name, is no error: the original answered 200 and ERROR.
func status(err error) int {
	switch {
	case err == nil, errors.Is(err, wire.ErrEvent):
		return http.StatusOK
	case errors.Is(err, errMethod):
		return http.StatusMethodNotAllowed
	case errors.Is(err, errTooLarge), errors.Is(err, publish.ErrTooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, errBody), errors.Is(err, errTooManyParameters),
		errors.Is(err, publish.ErrReceivers), errors.Is(err, wire.ErrID), errors.Is(err, wire.ErrData):
		return http.StatusBadRequest
	}
	// publish.ErrNotSent, ErrUnconfirmed, ErrUnstable, and what nobody has thought of.
	return http.StatusServiceUnavailable
}

// answer answers an emit. The body is OK if there is no error and ok is set, else ERROR.
func (f *Face) answer(c *gin.Context, ok bool, err error) {
	code, body := status(err), "ERROR"
	if err == nil && ok {
		body = "OK"
	}
	if err != nil {
		f.log.Debug("emit refused", "status", code, "error", err)
	}
	f.metrics.answered(code, body)
	c.Writer.Header()["Content-Type"] = plainText
	c.Status(code)
	_, _ = c.Writer.WriteString(body)
}

var plainText = []string{"text/plain; charset=utf-8"}
