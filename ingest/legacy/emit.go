package legacy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"

	"github.com/ramainen/doit-socket/ingest/publish"
	"github.com/ramainen/doit-socket/internal/wire"
)

// smallBody is how many bytes a Content-Length may announce for a buffer of that size to be made at once. A larger
// body gets memory as it arrives, so that a header alone costs none.
const smallBody = 4 << 10

// emit answers every request for /emit, whatever its method and status, with exactly OK or ERROR.
func (f *Face) emit(c *gin.Context) {
	var ok bool
	var err error
	switch c.Request.Method {
	case http.MethodPost:
		ok, err = f.post(c.Writer, c.Request)
	case http.MethodGet:
		ok, err = f.get(c.Request)
	default:
		err = errMethod
	}
	f.answer(c, ok, err)
}

// post emits what a form says: id, message and data, each from the body or else from the query string. data is JSON.
// It reports whether a socket took the event.
func (f *Face) post(w http.ResponseWriter, r *http.Request) (reached bool, err error) {
	body, err := f.readBody(w, r)
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
	return f.publish(ids, event, []byte(data))
}

// readBody reads the body of a POST. The server bounds the time that this takes.
func (f *Face) readBody(w http.ResponseWriter, r *http.Request) (body []byte, err error) {
	switch {
	case r.ContentLength > f.config.MaxBody:
		return nil, errTooLarge // a client that sent Expect has not sent the body yet, and need not
	case r.ContentLength >= 0 && r.ContentLength <= smallBody:
		body = make([]byte, r.ContentLength)
		_, err = io.ReadFull(r.Body, body)
	default:
		body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, f.config.MaxBody))
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, errTooLarge
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errBody, err)
	}
	return body, nil
}

// params are the fields of a POST: the body's, then the query string's.
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

// isForm reports whether a body is an urlencoded form. One without a type is
// taken for it: PHP's streams send none unless told.
func isForm(contentType string) bool {
	if contentType == "" {
		return true
	}
	kind, _, _ := mime.ParseMediaType(contentType)
	return kind == "application/x-www-form-urlencoded"
}

// get emits what a query string says. It is OK for every emit that was sent, also if nobody is online: so it was with
// the original.
func (f *Face) get(r *http.Request) (sent bool, err error) {
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
		return true, nil // for the original a list was the name of a room that nobody is in
	case id[0] == "":
		return false, nil
	}
	_, err = f.publish(id, event[0], queryData(kept))
	return err == nil, err
}

// queryData is the payload of a GET: its other parameters as an object of
// strings, or the string that _type=string and _data make.
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

// publish emits one event and reports whether a socket of any receiver took it. The emit does not end with its
// request: a page may hang up as soon as it has written it.
func (f *Face) publish(ids []string, event string, data []byte) (reached bool, err error) {
	outcomes, err := f.publisher.Publish(context.Background(),
		publish.Emit{To: ids, Event: event, Args: [][]byte{data}}, publish.FirstReceipt)
	return slices.ContainsFunc(outcomes, func(o publish.Outcome) bool { return o.State == publish.Reached }), err
}
