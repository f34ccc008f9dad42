package sio

import (
	"encoding/json"
	"slices"
	"sync/atomic"
	"time"

	"github.com/zishang520/socket.io-go-parser/v2/parser"

	"github.com/ramainen/doit-socket/gateway/eio"
	"github.com/ramainen/doit-socket/internal/clock"
	"github.com/ramainen/doit-socket/internal/visitor"
)

// A client is a browser's connection: a session and its sockets, one for each
// namespace that it has joined. Its methods run in the session's callbacks, one
// at a time; only answer is called from other goroutines too.
type client struct {
	server       *Server
	session      *eio.Session
	sockets      []*socket
	connectTimer *time.Timer  // closes the session unless it joins a namespace in time; nil once it has joined
	joined       atomic.Bool  // it has joined a namespace, or is closed
	pending      atomic.Int32 // registrations that are not yet answered

	// Used in the session's callbacks and in Session.Do only.

	ids     visitor.Bucket  // limits the ids that it registers; see budget
	delayed []*registration // those that wait for the budget
}

func (srv *Server) onOpen(s *eio.Session) {
	c := &client{server: srv, session: s}
	s.Data = c
	c.connectTimer = c.awaitConnect(srv.ConnectTimeout)
	if s.Protocol() < 4 {
		c.join("/") // clients before 3.0 join "/" without a CONNECT
	}
}

// lateConnect is how long a CONNECT that arrived during a standstill may take to
// be read.
const lateConnect = time.Second

// awaitConnect closes the session after the wait, unless it has joined a
// namespace by then. When the process has stood still, all timers run at once,
// before what has arrived meanwhile is read. So after a late timer it waits again.
func (c *client) awaitConnect(wait time.Duration) *time.Timer {
	due := clock.Now() + int64(wait)
	return time.AfterFunc(wait, func() {
		switch {
		case c.joined.Load():
		case clock.Now()-due > int64(clock.Standstill):
			c.awaitConnect(lateConnect)
		default:
			c.session.Close(reasonIdle)
		}
	})
}

// reasonIdle closes a session that joined no namespace within ConnectTimeout.
const reasonIdle eio.Reason = "no connect"

// reasonKicked closes a session after a message with "Doit-Op: disconnect".
const reasonKicked eio.Reason = "kicked"

func (c *client) onMessage(data []byte, binary bool) {
	if binary {
		return // an attachment of a binary packet, which nothing uses
	}
	p, ok := parsePacket(data)
	if !ok {
		c.session.Close(eio.ReasonProtocol)
		return
	}
	i := slices.IndexFunc(c.sockets, func(s *socket) bool { return s.namespace == p.path() })
	joined := i >= 0
	switch {
	case p.kind == parser.BINARY_EVENT:
		if joined && len(p.data) > 0 {
			c.onEvent(c.sockets[i], p)
		}
	case p.kind == parser.BINARY_ACK:
	case p.kind == parser.CONNECT && !joined:
		c.onConnect(p)
	case p.kind == parser.EVENT && joined:
		c.onEvent(c.sockets[i], p)
	case p.kind == parser.DISCONNECT && joined:
		c.leave(i)
	case p.kind == parser.ACK && joined:
	case c.session.Protocol() < 4:
		// The Node server of these clients ignores packets for other namespaces.
	default:
		c.session.Close(eio.ReasonProtocol)
	}
}

func (c *client) onConnect(p packet) {
	if len(p.data) > 0 {
		// auth must be an object. It is not passed to the library, which would
		// decode it to a map, twenty times as large, and keep that.
		var auth struct{}
		if len(p.data) > maxAuth || json.Unmarshal(p.data, &auth) != nil {
			c.session.Close(eio.ReasonProtocol)
			return
		}
	}
	c.join(p.namespace)
}

// join asks the library whether the client may join a namespace, and sends its
// answer. The socket gets the library's name for the namespace, because the
// library accepts several spellings of one (in EIO 3 it parses a URL). All
// sockets of a user share an encoded frame, which contains the name.
func (c *client) join(namespace string) {
	decision := c.server.library.decide(c.session, namespace)
	if joined := decision.joined; joined != nil {
		name := joined.Nsp().Name()
		if slices.ContainsFunc(c.sockets, func(s *socket) bool { return s.namespace == name }) {
			c.session.Close(eio.ReasonProtocol) // already joined, by another spelling
			return
		}
		c.stopConnectTimer()
		c.sockets = append(c.sockets, newSocket(c, name, string(joined.Id())))
	}
	if len(decision.answer) > 0 {
		c.session.Send(eio.Message(decision.answer))
		c.session.Flush()
	}
}

func (c *client) stopConnectTimer() {
	c.joined.Store(true)
	if c.connectTimer != nil {
		c.connectTimer.Stop()
		c.connectTimer = nil
	}
}

// leave ends the i-th socket of a client that stays connected.
func (c *client) leave(i int) {
	s := c.sockets[i]
	c.sockets = slices.Delete(c.sockets, i, i+1)
	s.end()
}

func (c *client) onClose() {
	c.stopConnectTimer()
	c.refuseDelayed()
	for _, s := range c.sockets {
		s.end()
	}
}
