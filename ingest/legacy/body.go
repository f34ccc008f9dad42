package legacy

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/ramainen/doit-socket/internal/budget"
)

// smallBody is the largest Content-Length, in bytes, for which the whole buffer is allocated before reading. A larger
// buffer grows as the body arrives, so that a client cannot make the server allocate by a header alone.
const smallBody = 4 << 10

// escapedByte is how many bytes of a body stand for one byte of an event at most.
const escapedByte = 3

// bodyCopies is how often a part of a body is in memory at most: as it was read, decoded, and as the payload.
const bodyCopies = 3

// readBody reads the body of a POST, inflates it if it is compressed, and counts one that is not small in held. It
// returns --max-body bytes at most. The HTTP server's timeouts bound how long it waits.
func (a *API) readBody(w http.ResponseWriter, r *http.Request, held *budget.Account) ([]byte, error) {
	if r.ContentLength > a.config.MaxBody {
		return nil, errTooLarge // without reading: a client that sent "Expect: 100-continue" then does not send the body
	}
	encoding, err := contentEncoding(r.Header["Content-Encoding"])
	if err != nil {
		return nil, err
	}
	// Without reading, too: a megabyte takes milliseconds to read and to parse, and a client that is refused comes again.
	if err := a.publisher.MayPublish(peer(r), r.ContentLength/escapedByte); err != nil {
		return nil, err
	}
	if encoding == "" {
		return a.receive(w, r, held, bodyCopies)
	}
	packed := budget.Account{Budget: a.Budget}
	defer packed.Close()
	body, err := a.receive(w, r, &packed, 1)
	if err != nil || len(body) == 0 {
		return body, err
	}
	if body, err = a.inflate(encoding, body, held); err != nil {
		return nil, err
	}
	if err := a.publisher.MayPublish(peer(r), int64(len(body))/escapedByte); err != nil {
		return nil, err
	}
	return body, nil
}

// receive reads a body as it was sent, and counts one that is not small in held, so many times.
func (a *API) receive(w http.ResponseWriter, r *http.Request, held *budget.Account, copies int) (body []byte, err error) {
	switch {
	case r.ContentLength >= 0 && r.ContentLength <= smallBody:
		body = make([]byte, r.ContentLength)
		_, err = io.ReadFull(r.Body, body)
	default:
		cut := func() { _ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0)) }
		body, err = budget.ReadAll(http.MaxBytesReader(w, r.Body, a.config.MaxBody), held, copies, cut)
	}
	if err != nil {
		return nil, readError(err, errBody)
	}
	return body, nil
}

// readError returns the error of a body that could not be read: errTooLarge, [budget.ErrFull], or otherwise other,
// which then wraps the cause.
func readError(err, other error) error {
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return errTooLarge
	case errors.Is(err, budget.ErrFull):
		return err
	}
	return fmt.Errorf("%w: %w", other, err)
}
