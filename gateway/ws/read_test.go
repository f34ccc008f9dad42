package ws

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gobwas/ws"
)

// The messages and the error of a websocket do not depend on how the network
// splits its bytes.
func FuzzWebsocketFrames(f *testing.F) {
	for _, frames := range [][]byte{
		append(text("4hello"), masked(ws.OpPing, true, []byte("x"))...),
		append(masked(ws.OpText, false, []byte("4a")), append(masked(ws.OpPing, true, nil), masked(ws.OpContinuation, true, []byte("b"))...)...),
		append(masked(ws.OpBinary, true, []byte{4, 1}), masked(ws.OpClose, true, ws.NewCloseFrameBody(1000, "bye"))...),
		text("4" + strings.Repeat("x", 130)),
		{0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4},
		{0x81, 0xfe, 0xff, 0xff, 1, 2, 3, 4},
		{0x81, 0x85},
		text("4\xff"),
		append(masked(ws.OpPong, true, nil), text("4a")...),
		masked(ws.OpClose, true, []byte{3}),                      // half a code
		masked(ws.OpClose, true, ws.NewCloseFrameBody(1005, "")), // a code that is never sent
	} {
		f.Add(frames, []byte{1})
		f.Add(frames, []byte{3, 1, 9})
	}
	f.Fuzz(func(t *testing.T, stream, cuts []byte) {
		whole, wholeErr := readFrames(stream, nil)
		if pieces, err := readFrames(stream, cuts); !errors.Is(err, wholeErr) || fmt.Sprint(pieces) != fmt.Sprint(whole) {
			t.Errorf("%q, %v in pieces, %q, %v in one", pieces, err, whole, wholeErr)
		}
	})
}

// readFrames feeds a stream in pieces of the sizes given, again and again, and
// returns what is heard.
func readFrames(stream, sizes []byte) (heard []string, err error) {
	const most = 1000
	r := reader{state: ws.StateServerSide}
	stream = bytes.Clone(stream)
	for i := 0; len(stream) > 0 && err == nil; i++ {
		n := len(stream)
		if len(sizes) > 0 {
			n = min(n, int(sizes[i%len(sizes)])+1)
		}
		err = r.feed(bytes.Clone(stream[:n]), most, func(m Message) {
			heard = append(heard, fmt.Sprintf("%d %q", m.Kind, m.Data))
		})
		stream = stream[n:]
		if len(r.partial) > most+14 || len(r.message) > most {
			panic(fmt.Sprintf("%d and %d bytes are kept", len(r.partial), len(r.message)))
		}
	}
	return heard, err
}

// A flood is a connection that yields the bytes of first, then zeros.
type flood struct {
	net.Conn
	first      []byte
	left, read int
}

func (f *flood) Read(b []byte) (int, error) {
	if len(f.first) > 0 {
		n := copy(b, f.first)
		f.first = f.first[n:]
		return n, nil
	}
	if f.left <= 0 {
		return 0, io.EOF
	}
	clear(b)
	f.left -= len(b)
	f.read += len(b)
	return len(b), nil
}

// A nobody is a handler that ignores everything.
type nobody struct{}

func (nobody) Received(Message)          {}
func (nobody) Failed(error)              {}
func (nobody) Next(bool) ([]byte, error) { return nil, nil }

// After a fault the browser may still send; none of it is kept (the connection
// has a second to end).
func TestFloodAfterFault(t *testing.T) {
	here := &flood{first: append(text("4half")[:3], 0xff), left: 64 << 20}
	c := new(Conn)
	newServer(t).Init(c, here, nobody{})
	before := allocated()
	var err error
	for err = c.handle(text("4half")[:3]); err == nil; {
		err = c.readAvailable()
	}
	if grown := allocated() - before; grown > uint64(here.read) {
		t.Errorf("%d bytes allocated for %d that nobody reads", grown, here.read)
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// A large message in small pieces is not copied again for every piece.
func TestSmallPiecesAreLinear(t *testing.T) {
	const size = 1 << 20
	for name, sent := range map[string][]byte{
		"one frame": masked(ws.OpText, true, bytes.Repeat([]byte("4"), size)),
		"fragments": append(append(masked(ws.OpText, false, []byte("4")),
			bytes.Repeat(masked(ws.OpContinuation, false, bytes.Repeat([]byte("x"), 16)), size/16-1)...), masked(ws.OpContinuation, true, nil)...),
	} {
		r := reader{state: ws.StateServerSide}
		heard := 0
		before := allocated()
		for piece := range slicesOf(sent, 13) {
			if err := r.feed(piece, size, func(m Message) { heard += len(m.Data) }); err != nil {
				t.Fatal(name, err)
			}
		}
		if grown := allocated() - before; grown > 64*size {
			t.Errorf("%s: %d bytes allocated for one of %d", name, grown, size)
		}
		if heard < size-32 || r.partial != nil || r.message != nil {
			t.Errorf("%s: heard %d, %d and %d are kept", name, heard, len(r.partial), len(r.message))
		}
	}
}

func slicesOf(b []byte, size int) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(b) > 0 {
			n := min(size, len(b))
			if !yield(bytes.Clone(b[:n])) {
				return
			}
			b = b[n:]
		}
	}
}

// A connection that is silent holds no read buffer (trap M5).
func TestIdleHoldsNoBuffer(t *testing.T) {
	var held atomic.Int32
	made := readBuffers.New
	defer func() { readBuffers.New = made }()
	readBuffers.New = func() any {
		b := new([4096]byte)
		held.Add(1)
		runtime.AddCleanup(b, func(int) { held.Add(-1) }, 0)
		return b
	}
	srv := newServer(t)
	for range 20 {
		u := newUser()
		u.echo = true
		browser := serve(t, srv, u)
		_, _ = browser.Write(text("x"))
		want(t, browser, "x")
	}
	until(t, "the buffers to be free", func() bool {
		runtime.GC()
		return held.Load() == 0
	})
}

// A panic in a handler ends its connection only, with a close frame.
func TestPanicEndsOneConnection(t *testing.T) {
	srv := newServer(t)
	one, other := newUser(), newUser()
	one.panic, other.echo = "boom", true
	browser, neighbour := serve(t, srv, one), serve(t, srv, other)
	_, _ = browser.Write(text("boom"))
	var fault *Fault
	if err := <-one.failed; !errors.As(err, &fault) || fault.Value != "boom" || !bytes.Contains(fault.Stack, []byte("Received")) {
		t.Errorf("failed with %v", err)
	}
	if f, err := ws.ReadFrame(browser); err != nil || f.Header.OpCode != ws.OpClose {
		t.Errorf("got %v, %v, want a close frame", f.Header.OpCode, err)
	}
	_, _ = neighbour.Write(text("fence"))
	want(t, neighbour, "fence")
}
