package eio

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/netip"
)

// begin answers a handshake: it opens a session on the transport that the
// request asks for, or turns the browser away.
func (srv *Server) begin(w http.ResponseWriter, r *http.Request, protocol int, base64, websocket bool) {
	if srv.sessions.stopped() {
		srv.turnAway(w, RefusedDraining)
		return
	}
	var address netip.Addr
	if srv.Admit != nil {
		var why Refusal
		if address, why = srv.Admit(r); why != "" {
			srv.turnAway(w, why)
			return
		}
	}
	if protocol == unnamed {
		// Node's server answers text in the text framing. Browsers that need the
		// binary one (payload.go) send EIO.
		protocol, base64 = 3, true
	}
	s := srv.newSession(protocol)
	s.address, s.codec.base64 = address, base64
	if websocket {
		srv.openWebsocket(w, r, s)
		return
	}
	if !srv.open(s) {
		srv.turnAway(w, RefusedDraining)
		return
	}
	polling{s}.serveGet(w, r) // answers with the open packet and what OnOpen sent
}

// openWebsocket opens a session on a websocket.
func (srv *Server) openWebsocket(w http.ResponseWriter, r *http.Request, s *Session) {
	k := &websocket{session: s}
	early, err := srv.websockets.Upgrade(w, r, &k.conn, k)
	if err != nil {
		srv.release(s)
		return // the request has been answered
	}
	s.websocket.Store(k)
	if !srv.open(s) {
		k.conn.Abort()
		return
	}
	k.conn.Serve(early)
}

func (srv *Server) newSession(protocol int) *Session {
	var id [15]byte
	_, _ = rand.Read(id[:]) // never fails
	s := &Session{server: srv, id: srv.Node + base64.RawURLEncoding.EncodeToString(id[:])}
	s.codec.protocol = protocol
	return s
}

// open adds the session to the server, queues the open packet and calls OnOpen.
// The caller reads from the browser only after that, so no message can come
// before OnOpen. It returns false, and has released the session, if the server
// accepts no new sessions.
func (srv *Server) open(s *Session) bool {
	s.beginTurn() // before the session can be closed: OnOpen comes before OnClose
	if !srv.sessions.add(s) {
		srv.release(s)
		return false
	}
	s.Send(openFrame(s))
	srv.opened(s)
	s.startHeartbeat()
	s.endTurn()
	s.Flush()
	return true
}

// openFrame returns the session's open packet.
func openFrame(s *Session) *Frame {
	cfg, upgrades := s.server.Config, []string{}
	if s.websocket.Load() == nil {
		upgrades = append(upgrades, "websocket")
	}
	data, _ := json.Marshal(struct {
		SID          string   `json:"sid"`
		Upgrades     []string `json:"upgrades"`
		PingInterval int64    `json:"pingInterval"`
		PingTimeout  int64    `json:"pingTimeout"`
		MaxPayload   int64    `json:"maxPayload"`
	}{s.id, upgrades, cfg.PingInterval.Milliseconds(), cfg.PingTimeout.Milliseconds(), cfg.MaxPayload})
	return newFrame(packetOpen, data)
}
