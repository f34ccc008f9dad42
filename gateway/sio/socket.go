package sio

import (
	"sync/atomic"

	"github.com/zishang520/socket.io-go-parser/v2/parser"

	"github.com/ramainen/doit-socket/gateway/eio"
	"github.com/ramainen/doit-socket/gateway/hub"
)

// A socket is a client in a namespace. It implements [hub.Conn]. Send, Flush,
// Close and ID may be called from any goroutine.
type socket struct {
	client         *client
	session        *eio.Session // the client's
	namespace      string
	id             string
	member         hub.Socket
	everRegistered atomic.Bool // it has registered an id, at some time
}

func newSocket(c *client, namespace, id string) *socket {
	s := &socket{client: c, session: c.session, namespace: namespace, id: id}
	s.member = hub.NewSocket(s)
	c.server.sockets.Add(1)
	c.server.nameless.Add(1)
	return s
}

// end detaches the socket from the hub and the metrics. It is called once.
func (s *socket) end() {
	s.markRegistered()
	s.client.server.hub.Detach(&s.member)
	s.client.server.sockets.Add(-1)
}

// markRegistered takes the socket out of the count of nameless sockets. It may
// be called several times.
func (s *socket) markRegistered() {
	if !s.everRegistered.Swap(true) {
		s.client.server.nameless.Add(-1)
	}
}

// ID returns the id that the page knows as socket.id.
func (s *socket) ID() string { return s.id }

// Send queues an event and reports whether the socket accepts it. The first
// socket encodes it for all sockets of all receivers: they are in the same
// namespace, "/".
func (s *socket) Send(m *hub.Message) bool {
	frame, ok := m.Encoded().(*eio.Frame)
	if !ok {
		frame = s.frame(packet{kind: parser.EVENT, data: m.Payload})
		m.SetEncoded(frame)
	}
	return s.session.Send(frame)
}

// Flush writes what Send has queued and reports whether the socket is open after it.
func (s *socket) Flush() (open bool) { return s.session.Flush() }

// Close disconnects the socket for good: after a DISCONNECT packet clients do
// not reconnect by themselves, as with Node's socket.disconnect().
func (s *socket) Close() {
	s.session.Finish(s.frame(packet{kind: parser.DISCONNECT}), reasonKicked)
}

// acknowledge sends an ack for an event. It does nothing if ack is empty: the
// page gave no callback.
func (s *socket) acknowledge(ack string, answer []byte) {
	if ack == "" {
		return
	}
	s.session.Send(s.frame(packet{kind: parser.ACK, ack: ack, data: answer}))
	s.Flush()
}

func (s *socket) frame(p packet) *eio.Frame {
	p.namespace = s.namespace
	return eio.Message(p.head(), p.data)
}
