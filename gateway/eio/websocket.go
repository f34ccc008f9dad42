package eio

import (
	"errors"
	"io"

	"github.com/ramainen/doit-socket/gateway/ws"
)

// A websocket is a session's transport, or asks to become it (upgrade.go). It
// implements [ws.Handler].
type websocket struct {
	session *Session
	conn    ws.Conn
}

// Errors by which Next ends a flush.
var (
	errGone     = errors.New("the session is closed")
	errFinished = errors.New("the session has sent its last frame")
)

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

// Next implements [ws.Handler]: it takes frames from the queue.
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
		s.outbound.charge(s.server.Budget, true)
		return nil, nil
	case len(s.outbound.frames) > 0:
		return s.outbound.take(s.server.Budget), nil
	}
	s.outbound.landed(s.server.Budget)
	if s.state == finishing {
		return nil, errFinished
	}
	return nil, nil
}

// flush implements transport: it writes what is queued.
func (k *websocket) flush() (open bool) {
	err := k.conn.Flush()
	if err != nil {
		k.Failed(err)
	}
	return err == nil
}

// unwritten implements transport.
func (k *websocket) unwritten() int { return k.conn.Unwritten() }

// end implements transport: a close frame tells the browser.
func (k *websocket) end(reason Reason) (tell func()) {
	return func() {
		k.session.server.release(k.session)
		k.conn.Close(reason.closeCode(), string(reason))
	}
}

// Failed implements [ws.Handler]: it ends the session, or only the upgrade if
// the websocket has not taken over.
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

// reasonOf returns the reason of a close for a websocket's error.
func (k *websocket) reasonOf(err error) Reason {
	switch {
	case errors.Is(err, errFinished):
		k.session.mu.Lock()
		defer k.session.mu.Unlock()
		return k.session.reason
	case errors.Is(err, ws.ErrSlow):
		return ReasonSlow
	case errors.Is(err, ws.ErrMemory):
		return ReasonMemory
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
func (k *websocket) isTransport() bool { return k.session.websocket.Load() == k }
