package eio

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"go.uber.org/goleak"

	"github.com/ramainen/doit-socket/internal/budget"
	"github.com/ramainen/doit-socket/internal/origin"
	"github.com/ramainen/doit-socket/internal/visitor"
)

// portable makes each websocket wait in a goroutine of its own and be written without its descriptor, as on other
// systems.
var portable = flag.Bool("portable", false, "test without epoll")

func TestMain(m *testing.M) {
	flag.Parse()
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// An app is the layer above a Server, and the HTTP server below it. It echoes
// every message, and fails the test if callbacks come out of order, twice, or
// overlap.
type app struct {
	*Server
	t         testing.TB
	admission *visitor.Admission
	url       string
	listen    net.Listener
	dial      func() (net.Conn, error)
	opened    chan *Session
	closed    chan Reason

	// A test may set these before its first request.
	onOpen    func(s *Session)
	onMessage func(s *Session, data []byte, binary bool)
	onClose   func(s *Session, reason Reason)
}

// notes are what an app remembers of one session.
type notes struct {
	inside atomic.Bool
	ended  atomic.Bool
}

// start serves until the end of the test; then no session may be left.
func start(t testing.TB, change ...func(*config)) *app {
	t.Helper()
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return startOn(t, listen, func() (net.Conn, error) { return net.Dial("tcp", listen.Addr().String()) }, change...)
}

// startPiped serves on connections in memory, for a bubble of synctest.
func startPiped(t testing.TB, change ...func(*config)) *app {
	t.Helper()
	p := pipes{make(chan net.Conn), make(chan struct{})}
	return startOn(t, p, func() (net.Conn, error) {
		here, there := net.Pipe()
		select {
		case p.conns <- there:
			return here, nil
		case <-p.closed:
			return nil, net.ErrClosed
		}
	}, change...)
}

// A config is what a test may change before its server starts.
type config struct {
	Config
	visitor.Limits
	visitor.AddressConfig
	origins []origin.Pattern
}

func startOn(t testing.TB, listen net.Listener, dial func() (net.Conn, error), change ...func(*config)) *app {
	cfg := config{Config: DefaultConfig(), Limits: visitor.DefaultLimits()}
	cfg.MaxFrames = 0 // tests send as fast as they can
	for _, f := range change {
		f(&cfg)
	}
	a := &app{
		t: t, url: "http://" + listen.Addr().String() + "/socket.io/", listen: listen, dial: dial,
		opened: make(chan *Session, 1<<12), closed: make(chan Reason, 1<<12),
		onOpen:    func(*Session) {},
		onMessage: func(s *Session, data []byte, _ bool) { s.write(Message(data)) },
		onClose:   func(*Session, Reason) {},
	}
	log := slog.New(slog.DiscardHandler)
	a.Server = New(cfg.Config, log)
	a.Budget = budget.New(1 << 30)
	a.Budget.AddHolders(a.Holders)
	a.websockets.NoPoller = *portable
	a.admission = visitor.NewAdmission(cfg.Limits)
	a.Admit, a.Release = AdmitBy(&visitor.Addresses{AddressConfig: cfg.AddressConfig, Log: log}, a.admission)
	a.AllowsOrigin = origin.NewPolicy(cfg.origins).Allows
	a.OnOpen = func(s *Session) {
		if s.Data != nil {
			t.Error("opened twice")
		}
		s.Data = &notes{}
		defer a.enter(s)()
		a.opened <- s
		a.onOpen(s)
	}
	a.OnMessage = func(s *Session, data []byte, binary bool) {
		defer a.enter(s)()
		a.onMessage(s, data, binary)
	}
	a.OnClose = func(s *Session, reason Reason) {
		defer a.enter(s)()
		if n, ok := s.Data.(*notes); ok && n.ended.Swap(true) {
			t.Error("closed twice")
		}
		a.closed <- reason
		a.onClose(s, reason)
	}
	var handlers sync.WaitGroup
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handlers.Add(1)
		defer handlers.Done()
		a.ServeHTTP(w, r)
	}), WriteTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)} // as in internal/listen
	served := make(chan error)
	go func() { served <- web.Serve(listen) }()
	t.Cleanup(func() {
		_ = listen.Close()
		a.shut()
		_ = web.Close()
		<-served
		handlers.Wait()
		if admitted, _ := a.admission.Sockets(); a.Sessions() != 0 || admitted != 0 {
			t.Errorf("%d sessions are left, %d count as admitted", a.Sessions(), admitted)
		}
		if used := a.Budget.Used(); used != 0 {
			t.Errorf("%d bytes still count", used)
		}
	})
	return a
}

// enter records that a callback runs; its result is called when the callback ends.
func (a *app) enter(s *Session) (leave func()) {
	n, ok := s.Data.(*notes)
	if !ok {
		a.t.Error("told of a session that was not opened")
		return func() {}
	}
	if n.ended.Load() {
		a.t.Error("told something after the close")
	}
	if n.inside.Swap(true) {
		a.t.Error("told two things at a time")
	}
	return func() { n.inside.Store(false) }
}

// shut closes the server, which must not take longer than ws.closeGrace.
func (a *app) shut() {
	a.t.Helper()
	done := make(chan struct{})
	go func() {
		a.Close()
		close(done)
	}()
	await(a.t, "Server.Close to return", done)
}

// wantClose waits until a session has closed and checks why.
func (a *app) wantClose(want Reason) {
	a.t.Helper()
	if got := await(a.t, "OnClose", a.closed); got != want {
		a.t.Errorf("closed because of %q, want %q", got, want)
	}
}

// await receives.
func await[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case v := <-from:
		return v
	case <-late.C:
		t.Fatalf("not in time: %s", what)
		panic("unreachable")
	}
}

// until waits until the condition holds.
func until(t testing.TB, what string, condition func() bool) {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for !condition() {
		select {
		case <-again.C:
		case <-late.C:
			t.Fatalf("not in time: %s", what)
		}
	}
}

// later runs f and gives its result.
func later[T any](f func() T) <-chan T {
	result := make(chan T, 1)
	go func() { result <- f() }()
	return result
}

// pipes is a listener for net.Pipe.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error {
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	return nil
}

func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "piped", Net: "pipe"} }

// A pollClient is a browser on polling.
type pollClient struct {
	*app
	query   string
	session *Session
	http    *http.Client
	open    map[string]any // the open packet
	answer  answer         // of the handshake
}

// An answer is what came back; status 0 means that the connection broke.
type answer struct {
	status int
	header http.Header
	body   string
}

func (p *pollClient) request(method, body string, headers ...string) answer {
	return p.do(method, strings.NewReader(body), headers...)
}

func (p *pollClient) do(method string, body io.Reader, headers ...string) answer {
	r, err := http.NewRequest(method, p.url+"?"+p.query, body)
	if err != nil {
		panic(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := p.http.Do(r)
	if err != nil {
		return answer{body: err.Error()}
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{body: err.Error()}
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

// newPoller returns a browser that has not asked for anything yet.
func (a *app) newPoller(query string) *pollClient {
	transport := &http.Transport{DisableCompression: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return a.dial() }}
	a.t.Cleanup(transport.CloseIdleConnections)
	return &pollClient{app: a, query: query, http: &http.Client{Transport: transport}}
}

// poll opens a session on polling.
func (a *app) poll(eio int, more ...string) *pollClient {
	a.t.Helper()
	p := a.newPoller(strings.Join(append([]string{fmt.Sprintf("EIO=%d&transport=polling", eio)}, more...), "&"))
	p.answer = p.get()
	if p.answer.status != http.StatusOK {
		a.t.Fatalf("handshake: %v", p.answer)
	}
	from := strings.IndexByte(p.answer.body, '{')
	if err := json.Unmarshal([]byte(p.answer.body[from:]), &p.open); err != nil {
		a.t.Fatalf("handshake: %v: %v", p.answer, err)
	}
	p.query += "&sid=" + p.open["sid"].(string)
	p.session = await(a.t, "OnOpen", a.opened)
	return p
}

func (p *pollClient) get() answer             { return p.request(http.MethodGet, "") }
func (p *pollClient) post(body string) answer { return p.request(http.MethodPost, body) }

// wait begins a GET and returns once the session has it waiting.
func (p *pollClient) wait() <-chan answer {
	p.t.Helper()
	result := later(p.get)
	until(p.t, "the GET to wait", func() bool {
		p.session.mu.Lock()
		defer p.session.mu.Unlock()
		return p.session.poll.waiting != nil
	})
	return result
}

// wantGet checks what the next GET gets.
func (p *pollClient) wantGet(body string) {
	p.t.Helper()
	wantAnswer(p.t, "GET", await(p.t, "the GET's answer", later(p.get)), http.StatusOK, body)
}

func (p *pollClient) wantPost(body string) {
	p.t.Helper()
	wantAnswer(p.t, "POST", await(p.t, "the POST's answer", later(func() answer { return p.post(body) })), http.StatusOK, "ok")
}

// wantGone checks that the session's GET and POST are refused.
func (p *pollClient) wantGone() {
	p.t.Helper()
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		a := await(p.t, "the answer", later(func() answer { return p.request(method, "") }))
		if a.status != http.StatusBadRequest {
			p.t.Errorf("%s of a session that is gone: %v", method, a)
		}
	}
}

// packets splits the body of an answer.
func (p *pollClient) packets(got answer) (packets []string) {
	p.t.Helper()
	if got.status != http.StatusOK {
		p.t.Fatalf("GET: %v", got)
	}
	if p.session.Protocol() == 4 {
		return strings.Split(got.body, "\x1e")
	}
	for body := got.body; body != ""; {
		length, rest, _ := strings.Cut(body, ":")
		n, err := strconv.Atoi(length)
		if err != nil || n > len(rest) {
			p.t.Fatalf("GET: %q", got.body)
		}
		packets, body = append(packets, rest[:n]), rest[n:]
	}
	return packets
}

func wantAnswer(t testing.TB, what string, got answer, status int, body string) {
	t.Helper()
	if got.status != status || got.body != body {
		t.Errorf("%s: %d %q, want %d %q", what, got.status, got.body, status, body)
	}
}

// A socket is a browser on a websocket.
type socket struct {
	*app
	conn    net.Conn
	in      *bufio.Reader
	session *Session // nil on a probe
	open    string   // the open packet
}

const websocketHeaders = "Host: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// connect asks for a websocket and sends early behind the request. It returns
// the socket, without one the HTTP status.
func (a *app) connect(query string, early []byte) (*socket, int) {
	a.t.Helper()
	conn, err := a.dial()
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	request := "GET /socket.io/?" + query + "&transport=websocket HTTP/1.1\r\n" + websocketHeaders
	go func() { _, _ = conn.Write(append([]byte(request), early...)) }()
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		a.t.Fatalf("websocket handshake: %v", err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		_ = resp.Body.Close()
		return nil, resp.StatusCode
	}
	return &socket{app: a, conn: conn, in: in}, resp.StatusCode
}

// socket opens a session on a websocket.
func (a *app) socket(eio int) *socket {
	a.t.Helper()
	w, status := a.connect(fmt.Sprintf("EIO=%d", eio), nil)
	if w == nil {
		a.t.Fatalf("websocket handshake: %d", status)
	}
	_, open := w.receive()
	w.open = string(open)
	w.session = await(a.t, "OnOpen", a.opened)
	w.idle()
	return w
}

// wantNothingKept checks that a closed session holds no frames.
func (w *socket) wantNothingKept() {
	w.t.Helper()
	w.session.mu.Lock()
	defer w.session.mu.Unlock()
	if n, bytes := len(w.session.outbound.frames), w.session.transport().unwritten(); w.session.outbound.frames != nil || bytes != 0 {
		w.t.Errorf("%d frames and %d bytes are kept", n, bytes)
	}
}

// upgrade opens the websocket on which a session on polling may go on.
func (p *pollClient) upgrade() *socket {
	p.t.Helper()
	w, status := p.connect(strings.ReplaceAll(p.query, "transport=polling", ""), nil)
	if w == nil {
		p.t.Fatalf("upgrade: %d", status)
	}
	until(p.t, "the upgrade to begin", func() bool {
		p.session.mu.Lock()
		defer p.session.mu.Unlock()
		return p.session.upgrade.stage == probing
	})
	return w
}

// probed opens the websocket on which the session may go on, and has it answered.
func (p *pollClient) probed() *socket {
	p.t.Helper()
	w := p.upgrade()
	w.send("2probe")
	w.want("3probe")
	return w
}

// masked returns a frame as a browser sends it.
func masked(op ws.OpCode, fin bool, payload []byte) []byte {
	f := ws.NewFrame(op, fin, append([]byte(nil), payload...))
	return ws.MustCompileFrame(ws.MaskFrameInPlaceWith(f, [4]byte{1, 2, 3, 4}))
}

func text(s string) []byte { return masked(ws.OpText, true, []byte(s)) }

func (w *socket) raw(b []byte) {
	w.t.Helper()
	_ = w.conn.SetWriteDeadline(time.Now().Add(patience))
	if _, err := w.conn.Write(b); err != nil {
		w.t.Fatalf("write: %v", err)
	}
}

func (w *socket) send(packet string) {
	w.t.Helper()
	w.raw(text(packet))
}

// idle waits until the kernel has accepted everything: a close in the middle of
// a frame resets the connection.
func (w *socket) idle() {
	w.t.Helper()
	until(w.t, "the write to end", func() bool {
		return w.session.transport().unwritten() == 0
	})
}

// jam sends more than the kernel can buffer; the browser does not read.
func (w *socket) jam() {
	for range 32 {
		w.session.write(Message(bytes.Repeat([]byte("x"), 1<<20)))
	}
}

// next returns the next frame.
func (w *socket) next() (ws.OpCode, []byte, error) {
	_ = w.conn.SetReadDeadline(time.Now().Add(patience))
	f, err := ws.ReadFrame(w.in)
	if err == nil {
		err = ws.CheckHeader(f.Header, ws.StateClientSide)
	}
	return f.Header.OpCode, f.Payload, err
}

func (w *socket) receive() (ws.OpCode, []byte) {
	w.t.Helper()
	op, payload, err := w.next()
	if err != nil {
		w.t.Fatalf("receive: %v", err)
	}
	return op, payload
}

func (w *socket) want(packets ...string) {
	w.t.Helper()
	for _, want := range packets {
		if op, got := w.receive(); op != ws.OpText || string(got) != want {
			w.t.Fatalf("got %v %q, want %q", op, got, want)
		}
	}
}

// wantCode checks that the server closes in order, with the code.
func (w *socket) wantCode(want ws.StatusCode) {
	w.t.Helper()
	op, payload := w.receive()
	if code, reason := ws.ParseCloseFrameData(payload); op != ws.OpClose || code != want {
		w.t.Errorf("got %v %d %q, want a close with %d", op, code, reason, want)
	}
	_, _ = w.conn.Write(masked(ws.OpClose, true, payload))
	w.wantEnd()
}

// wantEnd checks that nothing more comes but the end of the connection.
func (w *socket) wantEnd() {
	w.t.Helper()
	var timeout net.Error
	if op, payload, err := w.next(); err == nil {
		w.t.Errorf("after the close came %v %q", op, payload)
	} else if errors.As(err, &timeout) && timeout.Timeout() {
		w.t.Error("the connection does not end")
	}
}

// drain reads and discards everything.
func (w *socket) drain() {
	_ = w.conn.SetReadDeadline(time.Time{})
	go func() { _, _ = io.Copy(io.Discard, w.conn) }()
}

// wantLate is want for a packet that may take a heartbeat to come.
func (w *socket) wantLate(packet string) {
	w.t.Helper()
	_ = w.conn.SetReadDeadline(time.Time{})
	if f, err := ws.ReadFrame(w.in); err != nil || string(f.Payload) != packet {
		w.t.Fatalf("got %q, %v, want %q", f.Payload, err, packet)
	}
}
