package eio

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// openSocket begins a session on a websocket.
func (srv *Server) openSocket(w http.ResponseWriter, r *http.Request, s *Session) {
	socket, early, err := srv.upgradeConn(w, r)
	if err != nil {
		srv.forget(s)
		return // the upgrader has answered
	}
	s.socket = socket
	if !srv.open(s) || !s.start(func() { s.listen(socket, early) }) {
		socket.abort()
	}
}

// listen handles what came with a websocket's handshake, and then what comes on
// it, until it ends.
func (s *Session) listen(socket *wsConn, early []byte) {
	s.listenOnce(socket, func() error { return socket.handle(early, s) })
}

// wake goes on with a websocket that has waited.
func (s *Session) wake(socket *wsConn) {
	defer s.server.running.Done()
	s.listenOnce(socket, func() error { return socket.next(s) })
}

// listenOnce handles what is there and leaves the wait for more to the poller,
// or else to another goroutine, whose first act it is: handling makes a stack
// grow, and the collector makes none smaller than 4 KiB again.
func (s *Session) listenOnce(socket *wsConn, once func() error) {
	err := io.ErrUnexpectedEOF // of a fault of ours
	defer func() {
		if err != nil {
			socket.abort()
			s.fault(socket, err)
		}
	}()
	defer s.server.contain(s)
	if err = once(); err != nil {
		return
	}
	s.server.running.Add(1)
	if !s.isOn(socket) || !s.server.poller.park(s, socket) {
		go s.wake(socket)
	}
}

// socketTurn handles one packet from a websocket.
func (s *Session) socketTurn(p packet) {
	if s.protocol == 2 && !p.binary {
		p.data = s.undouble(p.data)
	}
	s.turn(p)
}

func closeReason(err error) Reason {
	switch {
	case errors.Is(err, errTooLarge):
		return ReasonTooLarge
	case errors.Is(err, errProtocol):
		return ReasonProtocol
	case errors.Is(err, errUTF8):
		return ReasonUTF8
	case errors.Is(err, errClosed), errors.Is(err, io.EOF):
		return ReasonClient
	default:
		return ReasonNetwork
	}
}

// upgradeSession lets a websocket ask to take over from polling.
//
// The browser sends 2probe and gets 3probe here. It stops polling, for which
// its waiting poll is answered with a noop, and then sends 5: from there on
// the session is on the websocket, and polls are refused. Until then the session owes it nothing: an
// upgrade that fails costs the session nothing either.
// Source: engine.io-protocol, "Upgrade".
func (srv *Server) upgradeSession(w http.ResponseWriter, r *http.Request, s *Session) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		refuse(w, errSession)
		return
	}
	if s.socket != nil || s.upgrading {
		s.mu.Unlock()
		srv.shutSocket(w, r)
		return
	}
	s.upgrading = true
	s.mu.Unlock()

	socket, early, err := srv.upgradeConn(w, r)
	if err == nil {
		err = socket.conn.SetReadDeadline(time.Now().Add(upgradeTimeout))
		s.mu.Lock()
		s.probe = socket
		s.mu.Unlock()
	}
	if err != nil || !s.start(func() { s.listen(socket, early) }) {
		s.endUpgrade(socket)
	}
}

// shutSocket answers a websocket of a session that has one. As with Node's
// server the handshake is answered, and then it closes.
func (srv *Server) shutSocket(w http.ResponseWriter, r *http.Request) {
	socket, _, err := srv.upgradeConn(w, r)
	if err != nil {
		return
	}
	socket.writeNow(frameShut)
	socket.abort()
}

// hear handles one packet from the session's websocket, or from one that wants to take over.
func (s *Session) hear(socket *wsConn, p packet) {
	switch {
	case s.isOn(socket):
		s.socketTurn(p)
	case p.kind == socketFrame: // it counts once this is the session's
	case p.kind == packetPing && string(p.data) == "probe" && s.answerProbe(socket):
	case p.kind == packetUpgrade && s.takeOver(socket):
	default:
		s.endUpgrade(socket)
	}
}

// fault ends the session, or the upgrade, whose websocket it is.
func (s *Session) fault(socket *wsConn, err error) {
	if s.isOn(socket) {
		s.Close(closeReason(err))
	} else {
		s.endUpgrade(socket)
	}
}

// isOn reports whether the websocket is the session's transport.
func (s *Session) isOn(socket *wsConn) bool {
	return s.websocket() == socket
}

// websocket returns the session's transport, nil while that is polling.
func (s *Session) websocket() *wsConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.socket
}

// endUpgrade closes a websocket that did not take over; the session polls on.
func (s *Session) endUpgrade(socket *wsConn) {
	s.mu.Lock()
	if s.probe == socket {
		s.probe, s.probed, s.upgrading = nil, false, false
	}
	s.mu.Unlock()
	if socket != nil {
		socket.abort()
	}
}

// answerProbe answers and releases the poll that waits, so that the browser can stop polling.
func (s *Session) answerProbe(socket *wsConn) bool {
	if !socket.writeNow(frameProbe) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.probe != socket { // the session has closed
		return false
	}
	s.probed = true
	if s.poll != nil {
		s.releasePoll()
	}
	return true
}

// takeOver makes the websocket the session's transport and sends what has queued up.
func (s *Session) takeOver(socket *wsConn) bool {
	s.mu.Lock()
	// Here, not later: a close that follows sets a deadline of its own.
	if s.probe != socket || !s.probed || socket.conn.SetReadDeadline(time.Time{}) != nil {
		s.mu.Unlock()
		return false
	}
	s.socket, s.probe, s.probed, s.upgrading = socket, nil, false, false
	if s.poll != nil { // no client's: they end their polls first
		close(s.poll)
		s.poll = nil
	}
	s.mu.Unlock()
	s.Flush()
	return true
}

// releasePoll answers the poll that waits with a noop, if nothing else has when
// it can no longer be a late one. The caller holds mu.
func (s *Session) releasePoll() {
	poll := s.poll
	time.AfterFunc(latePoll, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.poll == poll {
			s.poll <- []*Frame{frameNoop}
			s.poll = nil
		}
	})
}
