package sio

import (
	"io"
	"sync/atomic"

	engineio "github.com/zishang520/engine.io-go-parser/packet"
	"github.com/zishang520/engine.io/v2/engine"
	"github.com/zishang520/engine.io/v2/events"
	"github.com/zishang520/engine.io/v2/types"
	"github.com/zishang520/socket.io-go-parser/v2/parser"
	socketio "github.com/zishang520/socket.io/v2/socket"

	"github.com/ramainen/doit-socket/gateway/eio"
)

// An adapter is an eio.Session as the library sees it, its engine.Socket, while it
// decides who may join a namespace. Nothing else that the library writes is
// sent, and what it does not decide it does not hear. After the decision it is
// told that the session has closed, and forgets it: the socket is ours.
type adapter struct {
	engine.Socket // answers for what the library never asks; shared by all
	session       *eio.Session
	closed        atomic.Bool

	decision chan decision // not nil while the library is asked
	answer   []byte        // what it wrote meanwhile

	onData, onError, onClose events.Listener
}

// A decision is the library's: the socket that joined, or nil.
type decision struct {
	joined *socketio.Socket
	answer []byte
}

// nothing stands in for the parts of an engine.Socket that are not used.
var nothing = engine.MakeSocket()

// ask makes the library decide and returns what it decided.
func (a *adapter) ask(question func()) decision {
	a.decision = make(chan decision, 1)
	question()
	d := <-a.decision
	a.decision, a.answer = nil, nil
	return d
}

// forget makes the library give up what it has of the session.
func (a *adapter) forget() {
	a.closed.Store(true)
	if a.onClose != nil {
		a.onClose("transport close")
	}
}

// decided ends the question, with nil if nobody joined. The first word counts.
func (a *adapter) decided(joined *socketio.Socket) {
	select {
	case a.decision <- decision{joined, a.answer}:
	default:
	}
}

// Write takes what the library writes: the answer to a CONNECT.
func (a *adapter) Write(r io.Reader, _ *engineio.Options, _ engine.SendCallback) engine.Socket {
	if a.decision == nil {
		return a
	}
	a.answer, _ = io.ReadAll(r) // a buffer: no error
	if len(a.answer) > 0 && a.answer[0] == byte(parser.CONNECT_ERROR) {
		a.decided(nil)
	}
	return a
}

// Close is the library's wish to close the session.
func (a *adapter) Close(bool) {
	a.session.Close(eio.ReasonProtocol)
	if a.decision != nil {
		a.decided(nil)
	}
}

func (a *adapter) Id() string                  { return a.session.ID() }
func (a *adapter) RemoteAddress() string       { return "" }
func (a *adapter) Request() *types.HttpContext { return request }

// Protocol is 3 for all that came before 4, whose Socket.IO is one and the same.
func (a *adapter) Protocol() int { return max(3, a.session.Protocol()) }

func (a *adapter) ReadyState() string {
	if a.closed.Load() {
		return "closed"
	}
	return "open"
}

// The library listens for three events, once each.

func (a *adapter) On(event events.EventName, listeners ...events.Listener) error {
	if slot := a.slot(event); slot != nil {
		*slot = listeners[0]
	}
	return nil
}

func (a *adapter) Once(event events.EventName, listeners ...events.Listener) error {
	return a.On(event, listeners...)
}

func (a *adapter) RemoveListener(event events.EventName, _ events.Listener) bool {
	slot := a.slot(event)
	if slot != nil {
		*slot = nil
	}
	return slot != nil
}

func (a *adapter) slot(event events.EventName) *events.Listener {
	switch event {
	case "data":
		return &a.onData
	case "error":
		return &a.onError
	case "close":
		return &a.onClose
	}
	return nil
}
