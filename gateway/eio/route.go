package eio

import (
	"net/http"
	"net/url"
	"time"
)

// ServeHTTP passes a request to its session, or begins a session if the request
// has no sid.
func (srv *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		// A bound is needed even if no handler reads the body: net/http reads the
		// rest of it after the answer, to reuse the connection.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Add("Vary", "Origin")
	if srv.AllowsOrigin != nil && !srv.AllowsOrigin(r) {
		srv.turnAway(w, RefusedOrigin)
		return
	}
	allowOrigin(w, r)
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	query := r.URL.Query()
	protocol, ok := revisionOf(query)
	transport := query.Get("transport")
	upgrade := transport == "websocket"
	switch {
	case !upgrade && transport != "polling":
		refuse(w, errTransport)
		return
	case !ok:
		refuse(w, errRevision)
		return
	case query.Has("j"):
		refuse(w, errBadRequest) // JSONP: any page could run the answer as a script
		return
	case upgrade && r.Header.Get("Upgrade") == "":
		refuse(w, errBadRequest)
		return
	}

	sid := query.Get("sid")
	switch node := srv.foreign(sid); {
	case sid == "" && r.Method != http.MethodGet:
		refuse(w, errMethod)
	case sid == "":
		srv.begin(w, r, protocol, query.Get("b64") != "", upgrade)
	case node != "":
		srv.pass(w, r, node)
	default:
		srv.serveSession(w, r, sid, protocol, upgrade)
	}
}

// revisions maps the query parameter EIO to the protocol revision. Socket.IO
// 1.0 to 1.3 ask for 2 or 3, later clients up to 2.x for 3, those since 3.0 for
// 4.
var revisions = map[string]int{"2": 2, "3": 3, "4": 4}

// revisionOf returns the protocol revision that a request asks for: unnamed if it
// has no EIO or an empty one; ok is false if it is one that the server does not
// speak.
func revisionOf(query url.Values) (protocol int, ok bool) {
	name := query.Get("EIO")
	if name == "" {
		return unnamed, true
	}
	protocol, ok = revisions[name]
	return protocol, ok
}

// unnamed is the revision of a request without EIO. Some clients of revision 3
// that are not in JavaScript send none, such as Swift's before 16. A handshake
// without it opens a session of revision 3, as by Node's server. A request of a
// session is in the session's revision.
const unnamed = 0

// serveSession routes a request to its session on this node.
func (srv *Server) serveSession(w http.ResponseWriter, r *http.Request, sid string, protocol int, upgrade bool) {
	s := srv.sessions.get(sid)
	switch {
	case s == nil:
		refuse(w, errSession)
	case protocol != unnamed && protocol != s.Protocol():
		refuse(w, errBadRequest)
	case upgrade:
		s.receive(packet{kind: countedOnly}) // MaxFrames limits upgrade requests, too
		polling{s}.serveUpgrade(w, r)
	case r.Method == http.MethodGet:
		polling{s}.serveGet(w, r)
	case r.Method == http.MethodPost:
		polling{s}.servePost(w, r)
	default:
		refuse(w, errMethod)
	}
}

// ServePassed answers a request that another node has passed to this one. That
// node has checked the origin and sets the CORS headers. ServePassed opens no
// session and passes nothing on: a request for a session that this server does
// not hold is answered with an error.
func (srv *Server) ServePassed(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	protocol, ok := revisionOf(query)
	upgrade := query.Get("transport") == "websocket"
	if !ok || upgrade && r.Header.Get("Upgrade") == "" {
		refuse(w, errBadRequest)
		return
	}
	srv.serveSession(w, r, query.Get("sid"), protocol, upgrade)
}
