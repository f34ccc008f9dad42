package emit

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/ramainen/doit-socket/internal/wire"
)

// smallBody is how many bytes of memory a body gets before it has come: it is
// not for who announces them to say.
const smallBody = 4 << 10

// handle answers every /emit, whatever its method and status, with exactly OK or ERROR.
func (in *Ingest) handle(c *gin.Context) {
	var reached bool
	var err error
	switch c.Request.Method {
	case http.MethodPost:
		reached, err = in.post(c.Writer, c.Request)
	case http.MethodGet:
		reached, err = in.get(c.Request)
	default:
		err = errMethod
	}
	in.answer(c, reached, err)
}

// post emits what a form says: id, message and data, each from the body or
// else from the query string, data being JSON.
func (in *Ingest) post(w http.ResponseWriter, r *http.Request) (reached bool, err error) {
	body, err := in.readBody(w, r)
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
	return in.emit(ids, event, []byte(data))
}

// readBody reads the body of a POST. How long that may take is the server's to bound.
func (in *Ingest) readBody(w http.ResponseWriter, r *http.Request) (body []byte, err error) {
	switch {
	case r.ContentLength > in.MaxBody:
		return nil, errTooLarge // before a client that asked by Expect sends it
	case r.ContentLength >= 0 && r.ContentLength <= smallBody:
		body = make([]byte, r.ContentLength)
		_, err = io.ReadFull(r.Body, body)
	default:
		body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, in.MaxBody))
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

// get emits what a query string says. It is OK for everything that was handed
// to the bus, also if nobody is online: so it was with the original.
func (in *Ingest) get(r *http.Request) (accepted bool, err error) {
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
		return true, nil // a list was no room of the original's: nobody is in it
	case id[0] == "":
		return false, nil
	}
	if _, err := in.emit(id, event[0], queryData(kept)); err != nil {
		return false, err
	}
	return true, nil
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

// emit publishes one event to each receiver, all or none of them being valid
// ids, and reports whether a socket took it. An empty id names nobody.
func (in *Ingest) emit(ids []string, event string, data []byte) (reached bool, err error) {
	if len(ids) > wire.MaxReceivers {
		return false, errReceivers
	}
	subjects := make([]string, 0, len(ids))
	for _, id := range ids {
		if id == "" {
			continue
		}
		subject, err := wire.Subject("", id)
		if err != nil {
			return false, err
		}
		subjects = append(subjects, subject)
	}
	payload, err := wire.Encode(event, data)
	if err != nil {
		return false, err
	}
	if in.isAlone() {
		return emitTo(in.Local, subjects, payload), nil
	}
	return in.receipts.request(subjects, payload)
}
