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

// An adapter presents an eio.Session to the library as an engine.Socket, while
// the library decides whether the session may join a namespace. The library
// receives nothing but the CONNECT, and only its answer to that is sent to the
// browser. After the decision the adapter reports that the session has closed,
// so the library drops the socket. Our own socket (socket.go) replaces it.
type adapter struct {
	engine.Socket // the methods that the library never calls; shared by all adapters
	session       *eio.Session
	closed        atomic.Bool

	decision chan decision // not nil while the library decides
	answer   []byte        // what the library has written meanwhile

	onData, onError, onClose events.Listener
}

// A decision is the library's answer to a CONNECT.
type decision struct {
	joined *socketio.Socket // nil if the session may not join
	answer []byte           // the packet for the browser
}

// unusedSocket provides the methods of the library's interfaces that are never
// called.
var unusedSocket = engine.MakeSocket()

// ask runs question, which makes the library decide, and waits for the
// decision.
func (a *adapter) ask(question func()) decision {
	a.decision = make(chan decision, 1)
	question()
	d := <-a.decision
	a.decision, a.answer = nil, nil
	return d
}

// detach makes the library drop what it holds of the session.
func (a *adapter) detach() {
	a.closed.Store(true)
	if a.onClose != nil {
		a.onClose("transport close")
	}
}

// decided reports the library's decision; joined is nil if the session may not
// join. Only the first call for a question counts.
func (a *adapter) decided(joined *socketio.Socket) {
	select {
	case a.decision <- decision{joined, a.answer}:
	default:
	}
}

// Write keeps what the library writes during a decision: the answer to the
// CONNECT. It drops everything else.
func (a *adapter) Write(r io.Reader, _ *engineio.Options, _ engine.SendCallback) engine.Socket {
	if a.decision == nil {
		return a
	}
	a.answer, _ = io.ReadAll(r) // r is a buffer: no error
	if len(a.answer) > 0 && a.answer[0] == byte(parser.CONNECT_ERROR) {
		a.decided(nil)
	}
	return a
}

// Close closes the session at the library's request.
func (a *adapter) Close(bool) {
	a.session.Close(eio.ReasonProtocol)
	if a.decision != nil {
		a.decided(nil)
	}
}

func (a *adapter) Id() string                  { return a.session.ID() }
func (a *adapter) RemoteAddress() string       { return "" }
func (a *adapter) Request() *types.HttpContext { return request }

// Protocol is 3 for revisions 2 and 3: Socket.IO is the same on both.
func (a *adapter) Protocol() int { return max(3, a.session.Protocol()) }

func (a *adapter) ReadyState() string {
	if a.closed.Load() {
		return "closed"
	}
	return "open"
}

// The library registers one listener for each of three events.

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
