package sio

import (
	"sync/atomic"

	"github.com/zishang520/socket.io-go-parser/v2/parser"

	"github.com/ramainen/doit-socket/gateway/eio"
	"github.com/ramainen/doit-socket/gateway/hub"
)

// A space is a client in a namespace, which pages call a socket. It is the
// hub's Conn. Send, Flush, Close and ID may be called from any goroutine.
type space struct {
	client  *client
	session *eio.Session // the client's
	name    string       // of the namespace
	id      string
	member  *hub.Socket
	named   atomic.Bool // it has registered an id, at some time
}

func newSpace(c *client, name, id string) *space {
	s := &space{client: c, session: c.session, name: name, id: id}
	s.member = c.gateway.hub.Attach(s)
	c.gateway.sockets.Add(1)
	c.gateway.nameless.Add(1)
	return s
}

// end takes the socket from the hub.
func (s *space) end() {
	s.registered()
	s.client.gateway.hub.Detach(s.member)
	s.client.gateway.sockets.Add(-1)
}

// registered takes the socket from those that nobody can reach.
func (s *space) registered() {
	if !s.named.Swap(true) {
		s.client.gateway.nameless.Add(-1)
	}
}

// ID is the id that the page knows as socket.id.
func (s *space) ID() string { return s.id }

// Send queues an event. The first socket encodes it for all of the user's:
// they are in the same namespace.
func (s *space) Send(m *hub.Message) bool {
	frame, ok := m.Frame.(*eio.Frame)
	if !ok {
		frame = s.frame(packet{kind: parser.EVENT, data: m.Payload})
		m.Frame = frame
	}
	return s.session.Send(frame)
}

// Flush writes what Send has queued and reports whether the socket is open after it.
func (s *space) Flush() (open bool) { return s.session.Flush() }

// Close tells the page that the server disconnects it, for good: clients do
// not come back by themselves from that, as with Node's socket.disconnect().
func (s *space) Close() {
	s.session.Finish(s.frame(packet{kind: parser.DISCONNECT}), reasonKicked)
}

// acknowledge answers an event that came with a callback.
func (s *space) acknowledge(ack string, answer []byte) {
	if ack == "" {
		return
	}
	s.session.Send(s.frame(packet{kind: parser.ACK, ack: ack, data: answer}))
	s.Flush()
}

func (s *space) frame(p packet) *eio.Frame {
	p.namespace = s.name
	return eio.Message(p.head(), p.data)
}
