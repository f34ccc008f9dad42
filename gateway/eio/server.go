// Package eio is the Engine.IO layer: sessions of browsers over HTTP polling
// and websocket, in revisions 2, 3 and 4 of the protocol, which is what every
// Socket.IO client since 1.0 speaks. It knows nothing of Socket.IO or users;
// it moves messages, in order, and says when a session opens and ends.
//
//	GET  no sid ──▶ server.go ──▶ handshake.go ──▶ polling.go     a session begins, on polling
//	GET, POST sid ───────────────────────────────▶ polling.go     its messages, in payload.go's framings
//	Upgrade no sid ─────────────▶ handshake.go ──▶ websocket.go   a session begins, on a websocket
//	Upgrade sid ─────────────────────────────────▶ upgrade.go     a session moves from polling to a websocket
//	a sid of another node ───────────────────────▶ foreign.go     that node is asked
//
// Locks, in the order in which they are taken: a session's turn (inbound.go), a
// websocket's writer (package ws), Session.mu, then the locks of sessions and of
// the poller, which are innermost.
//
// Sources: the engine.io-protocol documents, revisions 3 and 4, and for
// revision 2 the published clients themselves. Nothing of the library
// zishang520/engine.io is used; docs/decisions/0002 says why.
package eio

import (
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/ramainen/doit-socket/gateway/ws"
)

// A Server holds the sessions and is their http.Handler, for any path: the
// caller mounts it at /socket.io/. [New] returns one. Its exported fields are
// set before the first request and not changed after it.
type Server struct {
	Config
	Events
	Log *slog.Logger

	// AllowsOrigin says whether a request may come from the page that it comes
	// from. Without it any may.
	AllowsOrigin func(r *http.Request) bool
	// Admit lets a browser open a session, or says why not, before anything is
	// made for it. Release takes the address that Admit returned when the
	// session has ended. Without them there is no limit. [AdmitBy] makes both.
	Admit   func(r *http.Request) (netip.Addr, Refusal)
	Release func(netip.Addr)

	// Node, if there is one, is what the ids of this server's sessions begin
	// with: [NodeLength] characters 0-9, a-f, that no other server has.
	Node string
	// Pass, if there is one, hands a request of a session that begins with
	// another node's name to that node, and its answer to w. It returns false,
	// and has answered nothing, if there is no such node.
	Pass func(w http.ResponseWriter, r *http.Request, node string) bool

	sessions   sessions
	websockets ws.Server
	running    sync.WaitGroup // timers for late polls
}

// New returns a server without sessions. Close must follow.
func New(cfg Config, log *slog.Logger) *Server {
	return &Server{
		Config: cfg, Log: log, sessions: sessions{byID: make(map[string]*Session)},
		websockets: ws.Server{MaxMessage: cfg.MaxPayload, WriteTimeout: cfg.WriteTimeout},
	}
}

// Sessions returns how many sessions are open.
func (srv *Server) Sessions() int { return srv.sessions.count() }

// Close ends every session, accepts no new one, and returns when all their
// goroutines have ended.
func (srv *Server) Close() {
	for _, s := range srv.sessions.refuse() {
		s.Close(ReasonServer)
	}
	srv.running.Wait()
	srv.websockets.Close()
}

// ServeHTTP routes a request to the session that it belongs to, or begins one.
func (srv *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		// Also where nobody reads it: net/http does, after the answer, to use the connection again.
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
	protocol, ok := revisions[query.Get("EIO")]
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
		refuse(w, errBadRequest) // JSONP: a script of ours in anybody's page
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

// revisions are the values of the query parameter EIO. The clients of Socket.IO 1.0
// to 1.3 ask for 2 or 3, those up to 2.x for 3, later ones for 4.
var revisions = map[string]int{"2": 2, "3": 3, "4": 4}

// serveSession routes a request to its session on this node.
func (srv *Server) serveSession(w http.ResponseWriter, r *http.Request, sid string, protocol int, upgrade bool) {
	s := srv.sessions.get(sid)
	switch {
	case s == nil:
		refuse(w, errSession)
	case s.Protocol() != protocol:
		refuse(w, errBadRequest)
	case upgrade:
		s.receive(packet{kind: countedOnly}) // or one session could ask for ever
		polling{s}.serveUpgrade(w, r)
	case r.Method == http.MethodGet:
		polling{s}.serveGet(w, r)
	case r.Method == http.MethodPost:
		polling{s}.servePost(w, r)
	default:
		refuse(w, errMethod)
	}
}

// forget gives back what a session was admitted for: once, when it closes, or
// when it could not open.
func (srv *Server) forget(s *Session) {
	srv.sessions.remove(s)
	if srv.Release != nil {
		srv.Release(s.address)
	}
}
