package sio

import (
	"io"
	"net/http"
	"sync/atomic"
	"time"

	engineio "github.com/zishang520/engine.io-go-parser/packet"
	"github.com/zishang520/engine.io/v2/engine"
	"github.com/zishang520/engine.io/v2/events"
	"github.com/zishang520/engine.io/v2/types"
	"github.com/zishang520/socket.io-go-parser/v2/parser"
	"github.com/zishang520/socket.io/v2/socket"

	"github.com/ramainen/doit-socket/gateway/eio"
)

// A library is zishang520's server, and the engine by which it hears of connections.
type library struct {
	engine engine.BaseServer
	server *socket.Server
}

func newLibrary() (*library, error) {
	opts := socket.DefaultServerOptions()
	opts.SetParser(connectParser{})
	opts.SetServeClient(false)
	// Ours closes a browser that joins nothing; the library's own timer must
	// not, in the middle of a decision.
	opts.SetConnectTimeout(time.Hour)
	l := &library{engine: engine.MakeBaseServer(), server: socket.NewServer(nil, opts)}
	l.server.Bind(l.engine)
	// This is fired when a socket has joined; every namespace gets it.
	err := l.server.On("connection", func(args ...any) {
		joined := args[0].(*socket.Socket)
		joined.Conn().(*seam).decided(joined)
	})
	return l, err
}

// decide asks the library whether a session may join a namespace. The session's
// turn waits for it, so nothing can be out of order: no packet of the browser is
// read meanwhile, and a close is told after it.
func (l *library) decide(session *eio.Session, namespace string) decision {
	s := &seam{Socket: nothing, session: session}
	defer s.forget()
	connect := func() { l.engine.Emit("connection", s) }
	switch {
	case session.Protocol() >= 4:
		connect()
	case namespace == "/":
		return s.ask(connect) // whoever connects joins it
	default:
		// The same, and then it leaves: ours may have left before.
		if joined := s.ask(connect).joined; joined != nil {
			joined.Disconnect(false)
		}
	}
	return s.ask(func() { s.onData(&parser.Packet{Type: parser.CONNECT, Nsp: namespace}) })
}

// A seam is an eio.Session as the library sees it, its engine.Socket, while it
// decides who may join a namespace. Nothing else that the library writes is
// sent, and what it does not decide it does not hear. After the decision it is
// told that the session has closed, and forgets it: the socket is ours.
type seam struct {
	engine.Socket // answers for what the library never asks; shared by all
	session       *eio.Session
	closed        atomic.Bool

	decision chan decision // not nil while the library is asked
	answer   []byte        // what it wrote meanwhile

	onData, onError, onClose events.Listener
}

// A decision is the library's: the socket that joined, or nil.
type decision struct {
	joined *socket.Socket
	answer []byte
}

// nothing stands in for the parts of an engine.Socket that are not used.
var nothing = engine.MakeSocket()

// ask makes the library decide and returns what it decided.
func (s *seam) ask(question func()) decision {
	s.decision = make(chan decision, 1)
	question()
	d := <-s.decision
	s.decision, s.answer = nil, nil
	return d
}

// forget makes the library give up what it has of the session.
func (s *seam) forget() {
	s.closed.Store(true)
	if s.onClose != nil {
		s.onClose("transport close")
	}
}

// decided ends the question, with nil if nobody joined. The first word counts.
func (s *seam) decided(joined *socket.Socket) {
	select {
	case s.decision <- decision{joined, s.answer}:
	default:
	}
}

// Write takes what the library writes: the answer to a CONNECT.
func (s *seam) Write(r io.Reader, _ *engineio.Options, _ engine.SendCallback) engine.Socket {
	if s.decision == nil {
		return s
	}
	s.answer, _ = io.ReadAll(r) // a buffer: no error
	if len(s.answer) > 0 && s.answer[0] == byte(parser.CONNECT_ERROR) {
		s.decided(nil)
	}
	return s
}

// Close is the library's wish to close the session.
func (s *seam) Close(bool) {
	s.session.Close(eio.ReasonProtocol)
	if s.decision != nil {
		s.decided(nil)
	}
}

func (s *seam) Id() string                  { return s.session.ID() }
func (s *seam) RemoteAddress() string       { return "" }
func (s *seam) Request() *types.HttpContext { return request }

// Protocol is 3 for all that came before 4, whose Socket.IO is one and the same.
func (s *seam) Protocol() int { return max(3, s.session.Protocol()) }

func (s *seam) ReadyState() string {
	if s.closed.Load() {
		return "closed"
	}
	return "open"
}

// The library listens for three events, once each.

func (s *seam) On(event events.EventName, listeners ...events.Listener) error {
	if slot := s.slot(event); slot != nil {
		*slot = listeners[0]
	}
	return nil
}

func (s *seam) Once(event events.EventName, listeners ...events.Listener) error {
	return s.On(event, listeners...)
}

func (s *seam) RemoveListener(event events.EventName, _ events.Listener) bool {
	slot := s.slot(event)
	if slot != nil {
		*slot = nil
	}
	return slot != nil
}

func (s *seam) slot(event events.EventName) *events.Listener {
	switch event {
	case "data":
		return &s.onData
	case "error":
		return &s.onError
	case "close":
		return &s.onClose
	}
	return nil
}

// connectParser hands the library packets that client.go has parsed: only ever CONNECT.
type connectParser struct{}

func (connectParser) NewEncoder() parser.Encoder { return parser.NewEncoder() }
func (connectParser) NewDecoder() parser.Decoder { return &connectDecoder{EventEmitter: nothing} }

type connectDecoder struct {
	events.EventEmitter // never used; shared by all
	decoded             events.Listener
}

func (d *connectDecoder) On(_ events.EventName, listeners ...events.Listener) error {
	d.decoded = listeners[0]
	return nil
}

func (d *connectDecoder) RemoveListener(events.EventName, events.Listener) bool {
	d.decoded = nil
	return true
}

func (d *connectDecoder) Add(data any) error {
	d.decoded(data)
	return nil
}

func (d *connectDecoder) Destroy() {}

// request is what the library may know of every browser's request. The real
// one would be kept alive by it for as long as the socket, and cost a goroutine.
var request = func() *types.HttpContext {
	r, err := http.NewRequest(http.MethodGet, "/socket.io/", nil)
	if err != nil {
		panic(err) // constant arguments
	}
	c := types.NewHttpContext(noResponse{}, r)
	c.Flush()
	return c
}()

type noResponse struct{}

func (noResponse) Header() http.Header         { return http.Header{} }
func (noResponse) Write(b []byte) (int, error) { return len(b), nil }
func (noResponse) WriteHeader(int)             {}
