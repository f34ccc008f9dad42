package eio

import (
	"net/http"
	"time"

	"github.com/ramainen/doit-socket/gateway/ws"
)

// upgradeTimeout bounds the time from a websocket's handshake to the end of the
// upgrade. It is that of Node's server.
const upgradeTimeout = 10 * time.Second

// An upgrade is the state of a session's move from polling to a websocket. It
// is guarded by Session.mu.
//
//	none ──handshake──▶ asked ──101──▶ probing ──2probe, 3probe──▶ probed ──5──▶ none, on the websocket
//	  │                                  └────────────────5────────────────────────▲
//	  ◀──────────────── anything else, or upgradeTimeout ────────────┘
//
// The browser sends 2probe and gets 3probe. Its waiting GET is answered with a
// noop, so that it can stop polling. It then sends 5: from there on the session
// is on the websocket, and polls are refused. Until then the session sends
// nothing but 3probe on the websocket, so an upgrade that fails loses nothing.
// Source: engine.io-protocol, "Upgrade".
//
// Some clients, in C# and PHP, send 5 without a probe. The websocket then takes
// over at once, as in Node's server (engine.io, lib/socket.ts, _maybeUpgrade).
type upgrade struct {
	stage  stage
	quiet  uint8      // frames without a message that the websocket has sent
	socket *websocket // that asks to take over; nil before probing
}

// maxQuiet is how many frames without a message, such as pongs, a websocket may
// send before it is the transport. Browsers send none.
const maxQuiet = 16

type stage byte

const (
	none    stage = iota
	asked         // a websocket's handshake is being answered
	probing       // the websocket is open
	probed        // its probe was answered: the browser stops polling
)

// reset gives up the upgrade and returns its websocket, nil if there is none.
func (u *upgrade) reset() (socket *websocket) {
	socket = u.socket
	*u = upgrade{}
	return socket
}

// serveUpgrade answers the handshake of a websocket that asks to take over from
// polling.
func (p polling) serveUpgrade(w http.ResponseWriter, r *http.Request) {
	s := p.Session
	s.mu.Lock()
	switch {
	case s.state == closed:
		s.mu.Unlock()
		refuse(w, errSession)
		return
	case p.moved() || s.upgrade.stage != none:
		s.mu.Unlock()
		p.refuseWebsocket(w, r)
		return
	}
	s.upgrade.stage = asked
	s.mu.Unlock()

	k := &websocket{session: s}
	early, err := p.server.websockets.Upgrade(w, r, &k.conn, k)
	accepted := err == nil
	if accepted {
		err = k.conn.SetReadDeadline(time.Now().Add(upgradeTimeout))
	}
	if err != nil || !k.attach() {
		s.mu.Lock()
		s.upgrade.reset() // it is this request's: at this stage no other is accepted
		s.mu.Unlock()
		if accepted {
			k.conn.Abort()
		}
		return
	}
	k.conn.Serve(early)
}

// refuseWebsocket refuses a second websocket of a session. Like Node's server it
// accepts the handshake and then closes the websocket.
func (p polling) refuseWebsocket(w http.ResponseWriter, r *http.Request) {
	var conn ws.Conn
	if _, err := p.server.websockets.Upgrade(w, r, &conn, nil); err == nil { // never served: it needs no handler
		conn.Refuse(ReasonClient.closeCode(), "the session has a websocket")
	}
}

// attach makes the websocket that of its session's upgrade. It returns false if
// the session is closed.
func (k *websocket) attach() bool {
	s := k.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == closed {
		return false
	}
	s.upgrade = upgrade{stage: probing, socket: k}
	return true
}

// receiveProbing handles a packet of a websocket that asks to take over. A
// packet that is not part of the upgrade ends the upgrade.
func (k *websocket) receiveProbing(p packet) {
	switch {
	case p.kind == countedOnly && k.countQuiet():
	case p.kind == packetPing && string(p.data) == "probe" && k.answerProbe():
	case p.kind == packetUpgrade && k.takeOver():
	default:
		k.abandon()
	}
}

// countQuiet counts a frame without a message. It returns false beyond maxQuiet:
// --max-frames does not limit a websocket before it is the transport.
func (k *websocket) countQuiet() (allowed bool) {
	s := k.session
	s.mu.Lock()
	defer s.mu.Unlock()
	s.upgrade.quiet++
	return s.upgrade.quiet <= maxQuiet
}

// answerProbe answers the probe and releases the waiting GET, so that the
// browser can stop polling.
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

// takeOver makes the websocket the session's transport and sends what is queued.
// A GET that waits is answered. After a probe that is an error, as in Node's
// server: the browser has stopped polling before it sent 5, so this GET comes
// late. Without a probe the GET may have waited all along: it is answered with a
// noop.
func (k *websocket) takeOver() bool {
	s := k.session
	s.mu.Lock()
	if s.upgrade.socket != k || k.conn.SetReadDeadline(time.Time{}) != nil {
		s.mu.Unlock()
		return false
	}
	hadProbe := s.upgrade.stage == probed
	s.websocket.Store(k)
	s.upgrade = upgrade{}
	switch waiting := s.poll.detach(); {
	case waiting == nil:
	case hadProbe:
		close(waiting)
	default:
		waiting <- []*Frame{frameNoop}
	}
	s.mu.Unlock()
	s.Flush()
	return true
}

// abandon closes a websocket that has not taken over. The session stays on
// polling.
func (k *websocket) abandon() {
	s := k.session
	s.mu.Lock()
	if s.upgrade.socket == k {
		s.upgrade.reset()
	}
	s.mu.Unlock()
	k.conn.Abort()
}
