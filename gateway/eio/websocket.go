package eio

import (
	"errors"
	"io"
	"net/http"

	"github.com/ramainen/doit-socket/gateway/ws"
)

// A websocket is a session's transport, or asks to become it (upgrade.go). It
// is the connection's [ws.Handler].
type websocket struct {
	session *Session
	conn    *ws.Conn
}

// Why a flush ends, besides what the connection says.
var (
	errGone     = errors.New("the session is closed")
	errFinished = errors.New("the session has sent its last frame")
)

// openWebsocket begins a session on a websocket.
func (srv *Server) openWebsocket(w http.ResponseWriter, r *http.Request, s *Session) {
	k := &websocket{session: s}
	conn, early, err := srv.websockets.Upgrade(w, r, k)
	if err != nil {
		srv.forget(s)
		return // the request has been answered
	}
	k.conn, s.socket = conn, k
	if !srv.open(s) {
		conn.Abort()
		return
	}
	conn.Serve(early)
}

// Received implements [ws.Handler].
func (k *websocket) Received(m ws.Message) {
	p := messagePacket(m)
	if k.isTransport() {
		if m.Kind == ws.Text {
			p.data = k.session.codec.decodeText(p.data)
		}
		k.session.receive(p)
		return
	}
	k.receiveProbing(p)
}

// Next implements [ws.Handler]: what is queued goes to the websocket.
func (k *websocket) Next(room bool) ([]byte, error) {
	s := k.session
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.state == closed:
		return nil, errGone
	case !room && s.outbound.over(&s.server.Config):
		return nil, ws.ErrSlow
	case !room:
		return nil, nil
	case len(s.outbound.frames) > 0:
		return join(s.outbound.take(batch)), nil
	case s.state == finishes:
		return nil, errFinished
	}
	return nil, nil
}

// flush writes what is queued and reports whether the session is open after it.
func (k *websocket) flush() (open bool) {
	err := k.conn.Flush()
	if err != nil {
		k.Failed(err)
	}
	return err == nil
}

// Failed implements [ws.Handler]: the session ends, or the upgrade whose websocket it is.
func (k *websocket) Failed(err error) {
	var fault *ws.Fault
	if errors.As(err, &fault) {
		k.session.closeByFault(fault.Value, fault.Stack)
	}
	if k.isTransport() {
		k.session.Close(k.reasonOf(err))
	} else {
		k.abandon()
	}
}

// reasonOf is the one table from a websocket's error to the reason of a close.
func (k *websocket) reasonOf(err error) Reason {
	switch {
	case errors.Is(err, errFinished):
		k.session.mu.Lock()
		defer k.session.mu.Unlock()
		return k.session.reason
	case errors.Is(err, ws.ErrSlow):
		return ReasonSlow
	case errors.Is(err, ws.ErrTooLarge):
		return ReasonTooLarge
	case errors.Is(err, ws.ErrProtocol):
		return ReasonProtocol
	case errors.Is(err, ws.ErrUTF8):
		return ReasonUTF8
	case errors.Is(err, ws.ErrClosed), errors.Is(err, io.EOF):
		return ReasonClient
	default:
		return ReasonNetwork
	}
}

// isTransport reports whether the websocket is the session's transport.
func (k *websocket) isTransport() bool { return k.session.transport() == k }
