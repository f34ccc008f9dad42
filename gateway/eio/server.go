// Package eio is the Engine.IO layer: sessions of browsers over HTTP polling
// and websocket, in revisions 2, 3 and 4 of the protocol, which is what every
// Socket.IO client since 1.0 speaks. It knows nothing of Socket.IO or users;
// it moves messages, in order, and says when a session opens and ends.
//
//	GET  no sid ──▶ route.go ───▶ handshake.go ──▶ polling.go     a session begins, on polling
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

// forget gives back what a session was admitted for: once, when it closes, or
// when it could not open.
func (srv *Server) forget(s *Session) {
	srv.sessions.remove(s)
	if srv.Release != nil {
		srv.Release(s.address)
	}
}
