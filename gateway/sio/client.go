package sio

import (
	"encoding/json"
	"slices"
	"sync/atomic"
	"time"

	"github.com/zishang520/socket.io-go-parser/v2/parser"

	"github.com/ramainen/doit-socket/gateway/eio"
)

// A client is a browser's connection: one session, and the namespaces that it
// has joined. Its methods run in the session's turns, one at a time.
type client struct {
	server  *Server
	session *eio.Session
	sockets []*socket
	expiry  *time.Timer  // closes the session, unless it joins a namespace; nil once it has
	pending atomic.Int32 // registrations that NATS has not confirmed
}

func (srv *Server) onOpen(s *eio.Session) {
	c := &client{server: srv, session: s}
	s.Data = c
	c.expiry = time.AfterFunc(srv.ConnectTimeout, func() { s.Close(reasonIdle) })
	if s.Protocol() < 4 {
		c.join("/") // clients before 3.0 do not ask for it: they are in it
	}
}

// reasonIdle ends a session that joined no namespace in time.
const reasonIdle eio.Reason = "no connect"

// reasonKicked ends a session because the bus asked for it.
const reasonKicked eio.Reason = "kicked"

func (c *client) onMessage(data []byte, binary bool) {
	if binary {
		return // the attachment of a packet that nobody reads
	}
	p, ok := parsePacket(data)
	if !ok {
		c.session.Close(eio.ReasonProtocol)
		return
	}
	i := slices.IndexFunc(c.sockets, func(s *socket) bool { return s.namespace == p.path() })
	joined := i >= 0
	switch {
	case p.kind == parser.BINARY_EVENT, p.kind == parser.BINARY_ACK:
	case p.kind == parser.CONNECT && !joined:
		c.onConnect(p)
	case p.kind == parser.EVENT && joined:
		c.onEvent(c.sockets[i], p)
	case p.kind == parser.DISCONNECT && joined:
		c.leave(i)
	case p.kind == parser.ACK && joined:
	case c.session.Protocol() < 4:
		// Node's server of that time ignores what it has no socket for.
	default:
		c.session.Close(eio.ReasonProtocol)
	}
}

func (c *client) onConnect(p packet) {
	if len(p.data) > 0 {
		// An object, which stays here: the library would keep it as a map,
		// twenty times as large, for as long as the socket is there.
		var auth struct{}
		if len(p.data) > maxAuth || json.Unmarshal(p.data, &auth) != nil {
			c.session.Close(eio.ReasonProtocol)
			return
		}
	}
	c.join(p.namespace)
}

// join asks the library to let the client into a namespace and passes its answer
// on. The namespace's name is the library's: it takes several spellings for one
// (in EIO 3 it reads a URL), and all sockets of a user share a frame.
func (c *client) join(namespace string) {
	decision := c.server.library.decide(c.session, namespace)
	if joined := decision.joined; joined != nil {
		name := joined.Nsp().Name()
		if slices.ContainsFunc(c.sockets, func(s *socket) bool { return s.namespace == name }) {
			c.session.Close(eio.ReasonProtocol) // it is in there, by another spelling
			return
		}
		c.stopExpiry()
		c.sockets = append(c.sockets, newSocket(c, name, string(joined.Id())))
	}
	if len(decision.answer) > 0 {
		c.session.Send(eio.Message(decision.answer))
		c.session.Flush()
	}
}

func (c *client) stopExpiry() {
	if c.expiry != nil {
		c.expiry.Stop()
		c.expiry = nil
	}
}

// leave ends the i-th namespace of a client that stays connected.
func (c *client) leave(i int) {
	s := c.sockets[i]
	c.sockets = slices.Delete(c.sockets, i, i+1)
	s.end()
}

func (c *client) onClose() {
	c.stopExpiry()
	for _, s := range c.sockets {
		s.end()
	}
}
