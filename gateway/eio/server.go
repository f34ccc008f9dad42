// Package eio is the Engine.IO layer: sessions of browsers over HTTP polling
// and websocket, in revisions 2, 3 and 4 of the protocol, which is what every
// Socket.IO client since 1.0 speaks. It knows nothing of Socket.IO or users;
// it moves messages, in order, and says when a session opens and ends.
//
//	GET  no sid ──▶ server.go ─▶ admission.go ─▶ polling.go   a session begins, on polling
//	GET, POST sid ─────────────────────────────▶ polling.go   its messages, in payload.go's framings
//	Upgrade no sid ────────────▶ admission.go ─▶ upgrade.go   a session begins, on websocket.go
//	Upgrade sid ───────────────────────────────▶ upgrade.go   a session moves from polling to websocket
//	a sid of another node ─────────────────────▶ foreign.go   that node is asked
//
// Sources: the engine.io-protocol documents, revisions 3 and 4, and for
// revision 2 the published clients themselves. Nothing of the library
// zishang520/engine.io is used; docs/decisions/0002 says why.
package eio

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// A Server holds the sessions and is their http.Handler, for any path: the
// caller mounts it at /socket.io/. Its fields are set before the first
// request and not changed after it.
type Server struct {
	Config
	Log *slog.Logger

	// What the layer above hears of a session: OnOpen first, each message in
	// order, OnClose once and last. Calls for one session never overlap. They
	// may call any method of the session. data is lent until the call returns.
	OnOpen    func(s *Session)
	OnMessage func(s *Session, data []byte, binary bool)
	OnClose   func(s *Session, reason Reason)

	// OnRefuse, if there is one, hears of each browser that is turned away.
	OnRefuse func(why Refusal)

	// Node, if there is one, is what the ids of this server's sessions begin
	// with: [NodeLength] characters 0-9, a-f, that no other server has.
	Node string
	// Pass, if there is one, hands a request of a session that begins with
	// another node's name to that node, and its answer to w. It returns false,
	// and has answered nothing, if there is no such node.
	Pass func(w http.ResponseWriter, r *http.Request, node string) bool

	running sync.WaitGroup // the goroutines of all sessions, and their waits
	poller  poller
	warned  atomic.Bool // of a proxy that is not trusted

	mu sync.Mutex
	// Guarded by mu.
	sessions map[string]*Session
	refusing bool                   // no new session begins
	admitted int                    // sessions, and those about to be
	visitors map[netip.Addr]visitor // those of them that have an address that counts
	sweepAt  int                    // at so many visitors the dead are looked for
}

// Sessions returns how many sessions are open.
func (srv *Server) Sessions() int {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	return len(srv.sessions)
}

// Close ends every session, accepts no new one, and returns when all their
// goroutines have ended.
func (srv *Server) Close() {
	srv.mu.Lock()
	srv.refusing = true
	sessions := make([]*Session, 0, len(srv.sessions))
	for _, s := range srv.sessions {
		sessions = append(sessions, s)
	}
	srv.mu.Unlock()
	for _, s := range sessions {
		s.Close(ReasonServer)
	}
	srv.running.Wait()
	srv.poller.stop()
}

// A protocolError is the JSON answer to a request that the protocol does not
// know. Codes and texts are those of Node's server.
type protocolError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

var (
	errTransport  = protocolError{0, "Transport unknown"}
	errSession    = protocolError{1, "Session ID unknown"}
	errMethod     = protocolError{2, "Bad handshake method"}
	errBadRequest = protocolError{3, "Bad request"}
	errRevision   = protocolError{5, "Unsupported protocol version"}
)

const codeForbidden = 4 // admission.go says why

func refuse(w http.ResponseWriter, e protocolError) { answerError(w, http.StatusBadRequest, e) }

func answerError(w http.ResponseWriter, status int, e protocolError) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(e)
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
	if !srv.allowsOrigin(r) {
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
	if sid == "" {
		if r.Method != http.MethodGet {
			refuse(w, errMethod)
			return
		}
		address := srv.addressOf(r)
		if why := srv.admit(address); why != "" {
			srv.turnAway(w, why)
			return
		}
		s := srv.newSession(protocol)
		s.address, s.plain = address, query.Get("b64") != ""
		if upgrade {
			srv.openSocket(w, r, s)
		} else {
			srv.openPolling(w, r, s)
		}
		return
	}
	if node := srv.foreign(sid); node != "" {
		srv.pass(w, r, node)
		return
	}
	srv.serveSession(w, r, sid, protocol, upgrade)
}

// serveSession routes a request to its session on this node.
func (srv *Server) serveSession(w http.ResponseWriter, r *http.Request, sid string, protocol int, upgrade bool) {
	s := srv.session(sid)
	switch {
	case s == nil:
		refuse(w, errSession)
	case s.protocol != protocol:
		refuse(w, errBadRequest)
	case upgrade:
		s.turn(packet{kind: socketFrame}) // or one session could ask for ever
		srv.upgradeSession(w, r, s)
	case r.Method == http.MethodGet:
		s.servePoll(w, r)
	case r.Method == http.MethodPost:
		s.servePost(w, r)
	default:
		refuse(w, errMethod)
	}
}

// revisions are the values of the query parameter EIO. The clients of Socket.IO 1.0
// to 1.3 ask for 2 or 3, those up to 2.x for 3, later ones for 4.
var revisions = map[string]int{"2": 2, "3": 3, "4": 4}

// allowOrigin answers for CORS. Old pages ask with credentials, for which a
// browser does not accept "*": the origin is echoed. Nothing here reads a
// cookie, so a page of any origin gets only what it could get without one.
func allowOrigin(w http.ResponseWriter, r *http.Request) {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Credentials", "true")
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", "GET, POST")
		h.Set("Access-Control-Allow-Headers", "Content-Type")
		h.Set("Access-Control-Max-Age", "86400")
	}
}

func (srv *Server) session(sid string) *Session {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	return srv.sessions[sid]
}

func (srv *Server) newSession(protocol int) *Session {
	var id [15]byte
	_, _ = rand.Read(id[:]) // never fails
	return &Session{server: srv, id: srv.Node + base64.RawURLEncoding.EncodeToString(id[:]), protocol: protocol}
}

// open makes the session known, queues the open packet and then whatever
// OnOpen sends. Only after that may the caller read what the browser sends,
// so nothing can come before the layer above is ready, however fast it is.
func (srv *Server) open(s *Session) bool {
	s.begin() // before anybody can close it: OnOpen comes first
	srv.mu.Lock()
	if srv.refusing {
		srv.mu.Unlock()
		srv.forget(s)
		return false
	}
	if srv.sessions == nil {
		srv.sessions = make(map[string]*Session)
	}
	srv.sessions[s.id] = s
	srv.mu.Unlock()

	s.Send(srv.handshake(s))
	srv.tellOpen(s)
	s.startHeartbeat()
	s.end()
	s.Flush()
	return true
}

// handshake is the open packet.
func (srv *Server) handshake(s *Session) *Frame {
	upgrades := []string{}
	if s.socket == nil {
		upgrades = append(upgrades, "websocket")
	}
	data, _ := json.Marshal(struct {
		SID          string   `json:"sid"`
		Upgrades     []string `json:"upgrades"`
		PingInterval int64    `json:"pingInterval"`
		PingTimeout  int64    `json:"pingTimeout"`
		MaxPayload   int64    `json:"maxPayload"`
	}{s.id, upgrades, srv.PingInterval.Milliseconds(), srv.PingTimeout.Milliseconds(), srv.MaxPayload})
	return newFrame(packetOpen, data)
}

// forget gives back what a session was admitted for: once, when it closes, or
// when it could not open.
func (srv *Server) forget(s *Session) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	delete(srv.sessions, s.id)
	srv.leave(s.address)
}

func (srv *Server) tellOpen(s *Session) {
	defer srv.contain(s)
	srv.OnOpen(s)
}

func (srv *Server) tellMessage(s *Session, p packet) {
	defer srv.contain(s)
	srv.OnMessage(s, p.data, p.binary)
}

func (srv *Server) tellClose(s *Session, reason Reason) {
	defer srv.contain(s)
	srv.OnClose(s, reason)
}

// contain turns a fault in the layer above into the end of the one session that met it.
func (srv *Server) contain(s *Session) {
	if fault := recover(); fault != nil {
		srv.Log.Error("a session is closed: fault in a handler", "fault", fault, "stack", string(debug.Stack()))
		s.Close(ReasonPanicking)
	}
}
