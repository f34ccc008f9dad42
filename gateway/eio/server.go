// Package eio is the Engine.IO layer: sessions of browsers over HTTP polling
// and websocket, in revisions 2, 3 and 4 of the protocol, which is what every
// Socket.IO client since 1.0 speaks. It knows nothing of Socket.IO or users: it
// delivers messages in order and reports when a session opens and closes.
//
//	GET  no sid ──▶ route.go ───▶ handshake.go ──▶ polling.go     a session begins, on polling
//	GET, POST sid ───────────────────────────────▶ polling.go     its messages, in payload.go's framings
//	Upgrade no sid ─────────────▶ handshake.go ──▶ websocket.go   a session begins, on a websocket
//	Upgrade sid ─────────────────────────────────▶ upgrade.go     a session moves from polling to a websocket
//	a sid of another node ───────────────────────▶ foreign.go     the request is passed to that node
//
// Locks, in the order in which they are taken: Session.turn, a websocket's
// writer (package ws), Session.mu, then the locks of sessions and of ws.Server,
// which are innermost.
//
// Sources: the engine.io-protocol documents for revisions 3 and 4, the published
// clients for revision 2. The library zishang520/engine.io is not used;
// docs/decisions/0002 says why.
package eio

import (
	"log/slog"
	"net/http"
	"net/netip"
	"sync"

	"github.com/ramainen/doit-socket/gateway/ws"
	"github.com/ramainen/doit-socket/internal/budget"
)

// A Server holds the sessions and is their http.Handler. It ignores the path:
// the caller mounts it at /socket.io/. Its exported fields are set after [New]
// and before the first request. Its methods are safe for concurrent use.
type Server struct {
	Config
	Events
	Log *slog.Logger

	// AllowsOrigin reports whether the origin of a request is allowed. If it is
	// nil, every origin is.
	AllowsOrigin func(r *http.Request) bool
	// Admit is called for each handshake, before anything is allocated for it. It
	// returns the browser's address, or a Refusal. Release is called with that
	// address when the session has ended. If they are nil, there is no limit.
	// [AdmitBy] returns both.
	Admit   func(r *http.Request) (netip.Addr, Refusal)
	Release func(netip.Addr)

	// Budget counts the bytes that wait for browsers, that were read of incomplete
	// messages, and of answers that are being written. If it is nil, there is no
	// limit. The caller makes it call [Server.Holders].
	Budget *budget.Budget

	// Node, if not empty, is the name that the ids of this server's sessions
	// begin with: [NodeLength] characters 0-9, a-f, unique among the nodes.
	Node string
	// Pass, if not nil, passes a request to the other node with whose name its
	// session id begins, and writes that node's answer to w. It returns false,
	// and has written nothing, if there is no such node.
	Pass func(w http.ResponseWriter, r *http.Request, node string) bool

	sessions   sessions
	websockets ws.Server
	running    sync.WaitGroup // timers for late polls
}

// New returns a server without sessions. [Server.Close] must follow.
func New(cfg Config, log *slog.Logger) *Server {
	srv := &Server{
		Config: cfg, Log: log, sessions: sessions{byID: make(map[string]*Session)},
		websockets: ws.Server{MaxMessage: cfg.MaxPayload, WriteTimeout: cfg.WriteTimeout},
	}
	srv.websockets.Reserve = func(bytes int) bool {
		if bytes < 0 {
			srv.Budget.Return(-bytes)
			return true
		}
		return srv.Budget.Take(bytes)
	}
	return srv
}

// Sessions returns how many sessions are open.
func (srv *Server) Sessions() int { return srv.sessions.count() }

// release removes a session and releases its address. It is called once for
// each session that was admitted: when it has closed, or could not be opened.
func (srv *Server) release(s *Session) {
	srv.sessions.remove(s)
	if srv.Release != nil {
		srv.Release(s.address)
	}
}
