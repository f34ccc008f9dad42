package legacy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ramainen/doit-socket/ingest/publish"
	"github.com/ramainen/doit-socket/internal/budget"
	"github.com/ramainen/doit-socket/internal/wire"
)

// smallBody is the largest Content-Length, in bytes, for which the whole buffer is allocated before reading. A larger
// buffer grows as the body arrives, so that a client cannot make the server allocate by a header alone.
const smallBody = 4 << 10

// escapedByte is how many bytes of a form stand for one byte of an event at most.
const escapedByte = 3

// bodyCopies is how often a part of a body is in memory at most: as it was read, decoded, and as the payload.
const bodyCopies = 3

// emit answers a request for /emit of any method. The body of the answer is always OK or ERROR.
func (a *API) emit(c *gin.Context) {
	var ok bool
	var err error
	switch c.Request.Method {
	case http.MethodPost:
		ok, err = a.post(c.Writer, c.Request)
	case http.MethodGet:
		ok, err = a.get(c.Request)
	default:
		err = errMethod
	}
	a.answer(c, ok, err)
}

// post emits the event of a form with the fields id, message and data (JSON). Each field is taken from the body, or
// from the query string if the body does not have it. post reports whether a socket took the event.
func (a *API) post(w http.ResponseWriter, r *http.Request) (reached bool, err error) {
	held := budget.Account{Budget: a.Budget}
	defer held.Close()
	body, err := a.readBody(w, r, &held)
	if err != nil {
		return false, err
	}
	params, err := parseParams(r, body)
	if err != nil {
		return false, err
	}
	ids, hasID := params.texts("id")
	event, hasEvent := params.text("message")
	if !hasID || !hasEvent {
		return false, nil
	}
	data, ok := params.text("data")
	if !ok {
		data = "{}"
	}
	return a.publish(r, ids, event, []byte(data))
}

// readBody reads the body of a POST, and counts one that is not small in held. The HTTP server's timeouts bound how long
// it waits.
func (a *API) readBody(w http.ResponseWriter, r *http.Request, held *budget.Account) (body []byte, err error) {
	if r.ContentLength > a.config.MaxBody {
		return nil, errTooLarge // without reading: a client that sent "Expect: 100-continue" then does not send the body
	}
	// Without reading, too: a megabyte takes milliseconds to read and to parse, and a client that is refused comes again.
	if err := a.publisher.MayPublish(peer(r), r.ContentLength/escapedByte); err != nil {
		return nil, err
	}
	switch {
	case r.ContentLength >= 0 && r.ContentLength <= smallBody:
		body = make([]byte, r.ContentLength)
		_, err = io.ReadFull(r.Body, body)
	default:
		cut := func() { _ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0)) }
		body, err = budget.ReadAll(http.MaxBytesReader(w, r.Body, a.config.MaxBody), held, bodyCopies, cut)
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, errTooLarge
	case errors.Is(err, budget.ErrFull):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errBody, err)
	}
	return body, nil
}

// params are the forms of a POST: [0] is the body, [1] the query string. A lookup prefers the body.
type params [2]form

func parseParams(r *http.Request, body []byte) (p params, err error) {
	if isForm(r.Header.Get("Content-Type")) {
		if p[0], err = parseForm(string(body)); err != nil {
			return p, err
		}
	}
	if r.URL.RawQuery != "" {
		p[1], err = parseForm(r.URL.RawQuery)
	}
	return p, err
}

func (p params) text(name string) (string, bool) {
	text, ok := p[0].text(name)
	if !ok {
		text, ok = p[1].text(name)
	}
	return text, ok
}

func (p params) texts(name string) ([]string, bool) {
	texts, ok := p[0].texts(name)
	if !ok {
		texts, ok = p[1].texts(name)
	}
	return texts, ok
}

// isForm reports whether a body of this Content-Type is read as an urlencoded form. An empty type counts as a form,
// because PHP's stream functions send no Content-Type unless the page sets one.
func isForm(contentType string) bool {
	if contentType == "" {
		return true
	}
	kind, _, _ := mime.ParseMediaType(contentType)
	return kind == "application/x-www-form-urlencoded"
}

// get emits the event of a query string. It reports true for every emit that was sent, even if no socket took it: the
// original answered OK to those, too.
func (a *API) get(r *http.Request) (sent bool, err error) {
	var id, event []string
	rest := parseQuery(r.URL.RawQuery)
	kept := rest[:0]
	for _, p := range rest {
		switch p.name {
		case "id":
			id = p.values
		case "message":
			event = p.values
		default:
			kept = append(kept, p)
		}
	}
	switch {
	case len(id) == 0 || len(event) == 0:
		return false, nil
	case len(id) > 1 || len(event) > 1:
		return true, nil // nothing to send: the original took a list for the name of an empty room and answered OK
	case id[0] == "":
		return false, nil
	}
	_, err = a.publish(r, id, event[0], queryData(kept))
	return err == nil, err
}

// queryData returns the event's argument of a GET as JSON: an object of strings with all parameters but id and message,
// or, with _type=string, the value of _data as one string.
func queryData(params []param) []byte {
	var kind, text []string
	for _, p := range params {
		switch p.name {
		case "_type":
			kind = p.values
		case "_data":
			text = p.values
		}
	}
	if len(kind) == 1 && kind[0] == "string" && len(text) == 1 {
		return wire.AppendString(nil, text[0])
	}
	data := []byte{'{'}
	for i, p := range params {
		if i > 0 {
			data = append(data, ',')
		}
		data = append(wire.AppendString(data, p.name), ':')
		if len(p.values) == 1 {
			data = wire.AppendString(data, p.values[0])
			continue
		}
		data = append(data, '[')
		for j, value := range p.values {
			if j > 0 {
				data = append(data, ',')
			}
			data = wire.AppendString(data, value)
		}
		data = append(data, ']')
	}
	return append(data, '}')
}

// publish emits one event and reports whether a socket of any receiver took it. It ignores the context of the HTTP
// request: PHP may close the connection as soon as it has written the request, and the event must still be sent. The
// publisher ends each emit at its bound, so a client that has hung up costs a second at most.
func (a *API) publish(r *http.Request, ids []string, event string, data []byte) (reached bool, err error) {
	outcomes, err := a.publisher.Publish(context.Background(),
		publish.Emit{To: ids, Event: event, Args: [][]byte{data}, From: peer(r)}, publish.FirstReceipt)
	return slices.ContainsFunc(outcomes, func(o publish.Outcome) bool { return o.State == publish.Reached }), err
}

// peer returns the address that the emit of a request counts for: that of the connection, an IPv6 address as its /64,
// the smallest network that a customer gets. All requests that come through one proxy count for the proxy.
func peer(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	address := at.Addr().Unmap().WithZone("")
	if address.Is6() {
		return netip.PrefixFrom(address, 64).Masked().Addr()
	}
	return address
}
