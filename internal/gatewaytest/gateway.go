// Package gatewaytest answers on NATS in a gateway's place. Only test files import it.
package gatewaytest

import (
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/wire"
)

// A Gateway is a NATS connection that answers as the test tells it to.
type Gateway struct {
	*nats.Conn
	// Heard gets the messages for the users of Holds, up to 4,096 that the test does not take.
	Heard chan *nats.Msg

	t testing.TB
}

// Start returns a gateway without users. Its connection is closed with the test.
func Start(t testing.TB, s *server.Server) *Gateway {
	t.Helper()
	return &Gateway{Conn: natstest.Connect(t, s), Heard: make(chan *nats.Msg, 4096), t: t}
}

// Holds answers for a user with a receipt, or keeps silent if sockets is negative.
func (g *Gateway) Holds(id string, sockets int) {
	g.t.Helper()
	subject, err := wire.Subject("", id)
	if err != nil {
		g.t.Fatal(err)
	}
	g.On(subject, func(m *nats.Msg) {
		g.Heard <- m
		if sockets >= 0 {
			_ = m.Respond(wire.Receipt{Sockets: sockets, Node: "gw"}.Append(nil))
		}
	})
}

// Leaves holds a user whose last socket has just gone: the event finds none, and the subscription goes.
func (g *Gateway) Leaves(id string) {
	g.t.Helper()
	g.On("user."+id, func(m *nats.Msg) {
		_ = m.Respond([]byte("0 gw"))
		_ = m.Sub.Drain()
	})
}

// On subscribes and returns when the server has the subscription.
func (g *Gateway) On(subject string, handle nats.MsgHandler) {
	g.t.Helper()
	if _, err := g.Subscribe(subject, handle); err != nil {
		g.t.Fatal(err)
	}
	if err := g.Flush(); err != nil {
		g.t.Fatal(err)
	}
}
