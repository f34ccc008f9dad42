package legacy

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/ramainen/doit-socket/ingest/publish"
	"github.com/ramainen/doit-socket/internal/budget"
)

// status maps an error of an emit to the HTTP status of the answer.
func status(err error) int {
	if err == nil {
		return http.StatusOK
	}
	return mistakeOf(err).status
}

// answer writes the answer to an emit: OK if ok is set and the status of err is 200, else ERROR.
func (a *API) answer(c *gin.Context, ok bool, err error) {
	code, body := http.StatusOK, "ERROR"
	header := c.Writer.Header()
	if err != nil {
		code = a.report(c, err)
		switch {
		case errors.Is(err, publish.ErrBusy), errors.Is(err, budget.ErrFull):
			header["Retry-After"] = nextSecond
		case code == http.StatusMethodNotAllowed:
			header["Allow"] = emitMethods
		}
	}
	if ok && code == http.StatusOK {
		body = "OK"
	}
	a.metrics.answered(code, body)
	header["Content-Type"] = plainText
	c.Status(code)
	_, _ = c.Writer.WriteString(body)
}

// report tells the sender of a request by the header Doit-Error what is wrong with it, and returns the status. If that
// is a mistake of the sender's, it is counted and logged. The message of the log is the same for all mistakes of a kind,
// by which the daemon's log has one of them a minute.
func (a *API) report(c *gin.Context, err error) (status int) {
	m := mistakeOf(err)
	c.Writer.Header()["Doit-Error"] = []string{m.reason}
	if m.kind == kindNone {
		a.log.Debug("request failed", slog.Int("status", m.status), slog.Any("error", err))
		return m.status
	}
	a.metrics.mistakes[m.kind].Inc()
	a.log.Warn("a request for /emit or /stat/all has a mistake: "+m.kind, slog.String("reason", m.reason),
		slog.Int("status", m.status), slog.String("path", c.FullPath()), slog.Any("from", peer(c.Request)))
	return m.status
}

var (
	plainText   = []string{"text/plain; charset=utf-8"}
	nextSecond  = []string{"1"} // an emit runs for a second at most
	emitMethods = []string{"GET, POST"}
	statMethods = []string{"GET, HEAD, OPTIONS"}
)
