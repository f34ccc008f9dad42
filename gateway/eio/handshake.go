package eio

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/netip"
)

// begin begins a session, on the transport that the request asks for.
func (srv *Server) begin(w http.ResponseWriter, r *http.Request, protocol int, base64, websocket bool) {
	if srv.sessions.refuses() {
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
	polling{s}.serveGet(w, r) // with all that it has to say
}

func (srv *Server) newSession(protocol int) *Session {
	var id [15]byte
	_, _ = rand.Read(id[:]) // never fails
	s := &Session{server: srv, id: srv.Node + base64.RawURLEncoding.EncodeToString(id[:])}
	s.codec.protocol = protocol
	return s
}

// open makes the session known, queues the open packet and then whatever
// OnOpen sends. Only after that may the caller read what the browser sends, so
// nothing can come before the layer above is ready, however fast it is. It
// returns false, and has forgotten the session, if the server takes no new ones.
func (srv *Server) open(s *Session) bool {
	s.begin() // before anybody can close it: OnOpen comes first
	if !srv.sessions.add(s) {
		srv.forget(s)
		return false
	}
	s.Send(openFrame(s))
	srv.opened(s)
	s.startHeartbeat()
	s.end()
	s.Flush()
	return true
}

// openFrame is the open packet.
func openFrame(s *Session) *Frame {
	cfg, upgrades := s.server.Config, []string{}
	if s.socket == nil {
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
