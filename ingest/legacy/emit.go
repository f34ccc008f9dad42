package legacy

import (
	"context"
	"net/http"
	"net/netip"
	"slices"

	"github.com/gin-gonic/gin"

	"github.com/ramainen/doit-socket/ingest/publish"
	"github.com/ramainen/doit-socket/internal/budget"
	"github.com/ramainen/doit-socket/internal/wire"
)

// emit answers a request for /emit of any method. The body of the answer is always OK or ERROR.
func (a *API) emit(c *gin.Context) {
	ok, err := a.take(c)
	a.answer(c, ok, err)
}

// take handles a request for /emit. It reports whether the answer is OK. An error may come with an OK: it then says
// what of the emit was lost, and its status is 200.
func (a *API) take(c *gin.Context) (ok bool, err error) {
	if err := a.admit(c.Request); err != nil {
		return false, err
	}
	switch c.Request.Method {
	case http.MethodPost:
		return a.post(c.Writer, c.Request)
	case http.MethodGet:
		return a.get(c.Request)
	}
	return false, errMethod
}

// post emits the event of a body, a form, JSON or multipart, with the fields id, message and data. Each field is taken
// from the body, or from the query string if the body does not have it. post reports whether a socket took the event.
func (a *API) post(w http.ResponseWriter, r *http.Request) (reached bool, err error) {
	held := budget.Account{Budget: a.Budget}
	defer held.Close()
	f, n, err := a.readPost(w, r, &held)
	if err != nil {
		return false, err
	}
	reached, err = a.publish(r, f.ids, f.event, f.data)
	return reached, n.remark(reached, err)
}

// readPost reads a POST. It is a function of its own so that the body, and what was parsed of it, is forgotten while the
// emit waits for its receipts.
func (a *API) readPost(w http.ResponseWriter, r *http.Request, held *budget.Account) (fields, notes, error) {
	body, err := a.readBody(w, r, held)
	if err != nil {
		return fields{}, notes{}, err
	}
	p, err := parsePost(r, body)
	if err != nil {
		return fields{}, notes{}, err
	}
	if err := p.missing(); err != nil {
		return fields{}, notes{}, err
	}
	n := p.notes()
	if p.data == nil {
		p.data = []byte("{}")
	}
	return p.fields, n, nil
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
	case len(id) == 0:
		return false, missingInQuery("id", r.URL.RawQuery)
	case len(event) == 0:
		return false, missingInQuery("message", r.URL.RawQuery)
	case len(id) > 1 || len(event) > 1:
		return true, errListInGet // nothing is sent: the original took a list for the name of an empty room, and answered OK
	case id[0] == "":
		return false, errEmptyID
	}
	data := queryData(kept)
	var lost error
	if replacedInQuery(r.URL.RawQuery, id[0], event[0], data) {
		lost = errNotUTF8Query
	}
	if _, err = a.publish(r, id, event[0], data); err != nil {
		return false, err
	}
	return true, lost
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
