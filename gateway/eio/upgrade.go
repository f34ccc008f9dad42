package eio

import (
	"net/http"
	"time"
)

// upgradeTimeout bounds the time from a websocket's handshake to the end of
// the upgrade; Node's server uses the same.
const upgradeTimeout = 10 * time.Second

// An upgrade is the move of a session from polling to a websocket. It is
// guarded by Session.mu.
//
//	none ──handshake──▶ asked ──101──▶ probing ──2probe, 3probe──▶ probed ──5──▶ none, on the websocket
//	  ◀──────────────── anything else, or upgradeTimeout ────────────┘
//
// The browser sends 2probe and gets 3probe. It stops polling, for which its
// waiting poll is answered with a noop, and then sends 5: from there on the
// session is on the websocket, and polls are refused. Until then the session
// owes the websocket nothing: an upgrade that fails costs it nothing either.
// Source: engine.io-protocol, "Upgrade".
type upgrade struct {
	stage  stage
	socket *websocket // that asks, from probing on
}

type stage byte

const (
	none    stage = iota
	asked         // a websocket's handshake is being answered
	probing       // the websocket is there
	probed        // its probe was answered: the browser is ending its polls
)

// end ends an upgrade that did not come to its goal, and returns its websocket.
func (u *upgrade) end() (socket *websocket) {
	socket = u.socket
	*u = upgrade{}
	return socket
}

// serveUpgrade lets a websocket ask to take over from polling.
func (p polling) serveUpgrade(w http.ResponseWriter, r *http.Request) {
	s := p.Session
	s.mu.Lock()
	switch {
	case s.state == closed:
		s.mu.Unlock()
		refuse(w, errSession)
		return
	case s.socket != nil || s.upgrade.stage != none:
		s.mu.Unlock()
		p.refuseWebsocket(w, r)
		return
	}
	s.upgrade.stage = asked
	s.mu.Unlock()

	k := &websocket{session: s}
	conn, early, err := p.server.websockets.Upgrade(w, r, k)
	if err == nil {
		k.conn = conn
		err = conn.SetReadDeadline(time.Now().Add(upgradeTimeout))
	}
	if err != nil || !k.ask() {
		s.mu.Lock()
		s.upgrade.end() // it is this request's: nobody else can ask meanwhile
		s.mu.Unlock()
		if conn != nil {
			conn.Abort()
		}
		return
	}
	conn.Serve(early)
}

// refuseWebsocket answers a websocket of a session that has one. As with
// Node's server the handshake is answered, and then it closes.
func (p polling) refuseWebsocket(w http.ResponseWriter, r *http.Request) {
	if conn, _, err := p.server.websockets.Upgrade(w, r, nil); err == nil { // it is not served
		conn.Refuse(ReasonClient.closeCode(), "the session has a websocket")
	}
}

// ask makes the websocket known to its session; it returns false once that is closed.
func (k *websocket) ask() bool {
	s := k.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == closed {
		return false
	}
	s.upgrade = upgrade{probing, k}
	return true
}

// receiveProbing handles a packet of a websocket that asks to take over.
func (k *websocket) receiveProbing(p packet) {
	switch {
	case p.kind == countedOnly: // it counts once this is the transport
	case p.kind == packetPing && string(p.data) == "probe" && k.answerProbe():
	case p.kind == packetUpgrade && k.takeOver():
	default:
		k.abandon()
	}
}

// answerProbe answers and releases the poll that waits, so that the browser can stop polling.
func (k *websocket) answerProbe() bool {
	if !k.conn.WriteNow(frameProbe.wire) {
		return false
	}
	s := k.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.upgrade.socket != k { // the session has closed
		return false
	}
	s.upgrade.stage = probed
	polling{s}.releasePoll()
	return true
}

// takeOver makes the websocket the session's transport and sends what has queued up.
func (k *websocket) takeOver() bool {
	s := k.session
	s.mu.Lock()
	if s.upgrade.socket != k || s.upgrade.stage != probed || k.conn.SetReadDeadline(time.Time{}) != nil {
		s.mu.Unlock()
		return false
	}
	s.socket, s.upgrade = k, upgrade{}
	if waiting := s.poll.end(); waiting != nil { // no client's: they end their polls first
		close(waiting)
	}
	s.mu.Unlock()
	s.Flush()
	return true
}

// abandon closes a websocket that did not take over; the session polls on.
func (k *websocket) abandon() {
	s := k.session
	s.mu.Lock()
	if s.upgrade.socket == k {
		s.upgrade.end()
	}
	s.mu.Unlock()
	k.conn.Abort()
}
