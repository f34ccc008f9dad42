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

// A library is zishang520's Socket.IO server, with the engine that reports
// connections to it.
type library struct {
	engine engine.BaseServer
	server *socketio.Server
}

func newLibrary() (*library, error) {
	opts := socketio.DefaultServerOptions()
	opts.SetParser(connectParser{})
	opts.SetServeClient(false)
	// client.connectTimer closes a browser that joins nothing. The library's own
	// timer must not run during a decision.
	opts.SetConnectTimeout(time.Hour)
	l := &library{engine: engine.MakeBaseServer(), server: socketio.NewServer(nil, opts)}
	l.server.Bind(l.engine)
	// The library emits this event when a socket has joined.
	err := l.server.On("connection", func(args ...any) {
		joined := args[0].(*socketio.Socket)
		joined.Conn().(*adapter).decided(joined)
	})
	return l, err
}

// decide asks the library whether a session may join a namespace. It is called
// in a callback of the session and blocks it, so the order is kept: no packet of
// the browser is handled meanwhile, and OnClose comes after it.
func (l *library) decide(session *eio.Session, namespace string) decision {
	s := &adapter{Socket: unusedSocket, session: session}
	defer s.detach()
	connect := func() { l.engine.Emit("connection", s) }
	switch {
	case session.Protocol() >= 4:
		connect()
	case namespace == "/":
		return s.ask(connect) // the library joins EIO 3 sockets to "/" when they connect
	default:
		// The library joins the session to "/" first. It must leave that again:
		// the browser may have left it before.
		if joined := s.ask(connect).joined; joined != nil {
			joined.Disconnect(false)
		}
	}
	return s.ask(func() { s.onData(&parser.Packet{Type: parser.CONNECT, Nsp: namespace}) })
}

// connectParser gives the library CONNECT packets that decide has made. The
// library parses nothing itself.
type connectParser struct{}

func (connectParser) NewEncoder() parser.Encoder { return parser.NewEncoder() }
func (connectParser) NewDecoder() parser.Decoder { return &connectDecoder{EventEmitter: unusedSocket} }

type connectDecoder struct {
	events.EventEmitter // the methods that the library never calls; shared by all
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

// request is the HTTP request that the library sees for every browser. With the
// real one it would keep the request in memory and start a goroutine.
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
