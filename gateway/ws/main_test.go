package ws

import (
	"errors"
	"flag"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"go.uber.org/goleak"
)

// portable lets each connection wait in a goroutine of its own, as on other systems.
var portable = flag.Bool("portable", false, "test without epoll")

func TestMain(m *testing.M) {
	flag.Parse()
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

func masked(op ws.OpCode, fin bool, payload []byte) []byte {
	f := ws.NewFrame(op, fin, append([]byte(nil), payload...))
	return ws.MustCompileFrame(ws.MaskFrameInPlaceWith(f, [4]byte{1, 2, 3, 4}))
}

func text(s string) []byte { return masked(ws.OpText, true, []byte(s)) }

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

// A user is the handler of a connection. It records what it receives, and
// echoes messages if it is told to.
type user struct {
	conn  *Conn
	echo  bool
	panic string // the text of the message at which it panics

	mu       sync.Mutex
	queue    [][]byte
	heard    []Message
	failures []error
	failed   chan error // has room for the first
}

func newUser() *user { return &user{failed: make(chan error, 1)} }

func (u *user) Received(m Message) {
	if u.panic != "" && string(m.Data) == u.panic {
		panic(u.panic)
	}
	u.mu.Lock()
	u.heard = append(u.heard, Message{m.Kind, append([]byte(nil), m.Data...)})
	u.mu.Unlock()
	if u.echo && m.Kind == Text {
		u.send(append(AppendTextHeader(nil, len(m.Data)), m.Data...))
	}
}

func (u *user) Failed(err error) {
	u.mu.Lock()
	u.failures = append(u.failures, err)
	first := len(u.failures) == 1
	u.mu.Unlock()
	if first {
		u.failed <- err
		u.conn.Close(1000, "")
	}
}

func (u *user) Next(room bool) ([]byte, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !room || len(u.queue) == 0 {
		return nil, nil
	}
	next := u.queue[0]
	u.queue = u.queue[1:]
	return next, nil
}

// send queues bytes and flushes.
func (u *user) send(b []byte) {
	u.mu.Lock()
	u.queue = append(u.queue, b)
	u.mu.Unlock()
	if err := u.conn.Flush(); err != nil {
		u.Failed(err)
	}
}

// wantFailed waits for the first failure.
func (u *user) wantFailed(t testing.TB, want error) {
	t.Helper()
	select {
	case err := <-u.failed:
		if !errors.Is(err, want) {
			t.Errorf("failed with %v, want %v", err, want)
		}
	case <-time.After(patience):
		t.Fatalf("no failure, want %v", want)
	}
}

// serve begins to read a connection, and returns the browser's end of it.
func serve(t testing.TB, srv *Server, u *user) (browser net.Conn) {
	t.Helper()
	browser = connect(t, srv, u)
	u.conn.Serve(nil)
	return browser
}

// connect makes a connection that is not read yet, and returns the browser's end of it.
func connect(t testing.TB, srv *Server, u *user) (browser net.Conn) {
	t.Helper()
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listen.Close() }()
	if browser, err = net.Dial("tcp", listen.Addr().String()); err != nil {
		t.Fatal(err)
	}
	there, err := listen.Accept()
	if err != nil {
		t.Fatal(err)
	}
	u.conn = new(Conn)
	srv.Init(u.conn, there, u)
	t.Cleanup(func() {
		_ = browser.Close()
		u.conn.Abort()
	})
	return browser
}

// newServer returns a server that is closed at the end of the test.
func newServer(t testing.TB) *Server {
	srv := &Server{MaxMessage: 1 << 20, WriteTimeout: patience, NoPoller: *portable}
	t.Cleanup(srv.Close)
	return srv
}

// want reads a text frame.
func want(t testing.TB, browser io.Reader, text string) {
	t.Helper()
	f, err := ws.ReadFrame(browser)
	if err != nil || f.Header.OpCode != ws.OpText || string(f.Payload) != text {
		t.Fatalf("got %v %q, %v, want %q", f.Header.OpCode, f.Payload, err, text)
	}
}
