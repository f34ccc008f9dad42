package sio

import (
	"net/http"
	"time"

	"github.com/zishang520/engine.io/v2/engine"
	"github.com/zishang520/engine.io/v2/events"
	"github.com/zishang520/engine.io/v2/types"
	"github.com/zishang520/socket.io-go-parser/v2/parser"
	socketio "github.com/zishang520/socket.io/v2/socket"

	"github.com/ramainen/doit-socket/gateway/eio"
)

// A library is zishang520's server, and the engine by which it hears of connections.
type library struct {
	engine engine.BaseServer
	server *socketio.Server
}

func newLibrary() (*library, error) {
	opts := socketio.DefaultServerOptions()
	opts.SetParser(connectParser{})
	opts.SetServeClient(false)
	// Ours closes a browser that joins nothing; the library's own timer must
	// not, in the middle of a decision.
	opts.SetConnectTimeout(time.Hour)
	l := &library{engine: engine.MakeBaseServer(), server: socketio.NewServer(nil, opts)}
	l.server.Bind(l.engine)
	// This is fired when a socket has joined; every namespace gets it.
	err := l.server.On("connection", func(args ...any) {
		joined := args[0].(*socketio.Socket)
		joined.Conn().(*adapter).decided(joined)
	})
	return l, err
}

// decide asks the library whether a session may join a namespace. The session's
// turn waits for it, so nothing can be out of order: no packet of the browser is
// read meanwhile, and a close is told after it.
func (l *library) decide(session *eio.Session, namespace string) decision {
	s := &adapter{Socket: nothing, session: session}
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
