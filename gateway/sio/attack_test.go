package sio

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/zishang520/socket.io-go-parser/v2/parser"

	"github.com/ramainen/doit-socket/gateway/eio"
	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/siotest"
	"github.com/ramainen/doit-socket/internal/wire"
)

// Attacks that no other test covers; docs/attacks.md lists all.

// eavesdrop records what the library receives from all browsers.
func (b *bench) eavesdrop() (clients, packets *atomic.Int32) {
	b.t.Helper()
	clients, packets = new(atomic.Int32), new(atomic.Int32)
	err := b.library.engine.On("connection", func(args ...any) {
		clients.Add(1)
		s := args[0].(*adapter)
		onData := s.onData
		s.onData = func(args ...any) {
			packets.Add(1)
			p, ok := args[0].(*parser.Packet)
			if !ok || p.Type != parser.CONNECT || s.decision == nil {
				b.t.Errorf("the library hears %+v, asked %v", args, s.decision != nil)
				return
			}
			if p.Data != nil {
				b.t.Errorf("the library hears, and keeps, %v", p.Data)
			}
			onData(args...)
		}
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return clients, packets
}

// The library receives a browser's CONNECT and nothing else: no event, no ack,
// no attachment, no payload (traps K1, M4, R6, R15). It receives nothing of a
// browser that sends no CONNECT.
func TestLibraryHearsConnectOnly(t *testing.T) {
	b := start(t)
	clients, packets := b.eavesdrop()
	b.open(4)
	b.open(4, true)
	var hostile []string
	for kind := range 10 {
		for _, rest := range []string{
			"", "{}", "[]", "null", `"x"`, `["x"]`, `["register"]`, `1["x"]`, `/,["x"]`, `/shop,["x"]`, `/shop?a=b,{"a":1}`, `{"token":{"deep":[[[1]]]}}`,
			`1-["x",{"_placeholder":true,"num":0}]`, `5999999999-[]`, `999999999999999999999`, "\x00", "\xd0", `{"__proto__":{"x":1}}`, `["__proto__"]`,
		} {
			hostile = append(hostile, fmt.Sprint("4", kind, rest))
		}
	}
	for _, revision := range []int{3, 4} {
		for i, packet := range hostile {
			p := b.open(revision, make([]bool, i%2)...)
			if i%3 > 0 {
				_ = p.Conn.Send("40")
			}
			_ = p.Conn.Send(packet)
			_ = p.Conn.Send(map[int]string{3: "2fence", 4: `420["unregister",{"userid":"fence"}]`}[revision])
			for got := p.Next(); got != "" && got != "1" && got != "3fence" && !strings.HasPrefix(got, "430"); {
				got = p.Next()
			}
			p.Close()
		}
	}
	if packets.Load() == 0 {
		t.Error("nothing was heard")
	}
	if want := int32(2*len(hostile) + 2); clients.Load() >= want {
		t.Errorf("the library knows %d clients of %d", clients.Load(), want)
	}
}

// A binary message is an attachment, which is ignored, and not a packet (trap
// M4).
func TestAttachmentsAreNotRead(t *testing.T) {
	b := start(t)
	p := b.join(4, true)
	p.Send("b" + base64.StdEncoding.EncodeToString([]byte(`20["register",{"userid":"x"}]`)))
	p.ExpectAlive()
	if b.hub.Users() != 0 {
		t.Error("registered")
	}
}

// The library forgets a socket when it has joined: its rooms and broadcasts, in
// which messages are lost, cannot be used by mistake, and it keeps nothing for
// as long as the socket lives (traps R1, R3, R4, R11).
func TestLibraryForgets(t *testing.T) {
	b := start(t)
	old, young := b.join(3), b.join(4)
	root := b.library.server.Sockets()
	if n := root.Sockets().Len(); n != 0 {
		t.Errorf("the library has %d sockets", n)
	}
	if err := root.Emit("x"); err != nil {
		t.Error(err)
	}
	old.ExpectAlive()
	young.ExpectAlive()
}

// When browsers come and go fast, OnClose comes once for each, and the library
// keeps no socket and no room of them (traps R3, R4, R5, R7, R11).
func TestComeAndGoHammered(t *testing.T) {
	b := start(t)
	var opened, closed atomic.Int32
	onOpen, onClose := b.engine.OnOpen, b.engine.OnClose
	b.engine.OnOpen = func(s *eio.Session) { opened.Add(1); onOpen(s) }
	b.engine.OnClose = func(s *eio.Session, reason eio.Reason) { onClose(s, reason); closed.Add(1) }
	scripts := [][]string{
		{"40"},
		{"40", `42["register",{"userid":"a"}]`},
		{"40", `42["register",{"userid":["a","b","c"]}]`, `42["unregister",{"userid":"b"}]`, "41"},
		{"40", "41", "40", `42["register",{"userid":"a"}]`, "41", "40"},
		{"40/x,", "40", "40/y,"},
		{"40", "40"},
		{"40", "1"},
	}
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for i := range 400 {
				b.comeAndGo(scripts[(worker+i)%len(scripts)], 3+i%2, worker*97+i*13)
			}
		})
	}
	all.Wait()
	natstest.Await(t, "all to be closed", func() bool {
		return b.sockets.Load() == 0 && b.engine.Sessions() == 0 && closed.Load() == opened.Load()
	})
	if opened.Load() < 1000 {
		t.Errorf("only %d were opened", opened.Load())
	}
	root := b.library.server.Sockets()
	if sockets, rooms := root.Sockets().Len(), root.Adapter().Rooms().Len(); sockets != 0 || rooms != 0 {
		t.Errorf("the library holds %d sockets in %d rooms", sockets, rooms)
	}
	b.wantUsers(0)
}

// comeAndGo sends a handshake and packets, of which the last bytes are missing,
// waits for some of the answer, and is gone.
func (b *bench) comeAndGo(packets []string, revision, cut int) {
	conn, err := siotest.Begin(b.url, siotest.Options{EIO: revision})
	if err != nil {
		b.t.Error(err)
		return
	}
	all := conn.Greeting()
	for _, packet := range packets {
		all = append(all, siotest.Frame(packet)...)
	}
	_ = conn.Write(all[:len(all)-cut%4])
	if cut%3 > 0 {
		_, _ = conn.Net.Read(make([]byte, 1+cut%400))
	}
	if cut%2 == 0 {
		conn.Reset()
	}
	conn.Close()
}

// register and unregister that come in one piece take effect in their order,
// and nothing of them after the end of the connection (trap R6).
func TestRegisterInOrder(t *testing.T) {
	const browsers = 200
	b := start(t)
	var transports [browsers]*siotest.Conn
	id := func(i int) string { return fmt.Sprintf(`",{"userid":"%d"}]`, i) }
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for i := worker; i < browsers; i += 4 {
				transport, err := siotest.DialSocket(b.url, fmt.Sprintf("EIO=%d&transport=websocket", 3+i/2%2))
				if err != nil {
					t.Error(err)
					return
				}
				transports[i] = transport
				_ = transport.Send("40")
				for range 20 {
					_ = transport.Send(`42["register` + id(i))
					_ = transport.Send(`42["unregister` + id(i))
				}
				if i%2 == 0 {
					_ = transport.Send(`42["register` + id(i))
				}
				_ = transport.Send(`420["unregister",{"userid":"fence"}]`)
				for got := ""; !strings.HasPrefix(got, "430") && err == nil; {
					got, err = one(transport)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	b.wantUsers(browsers / 2)
	for i, transport := range transports {
		if n := b.emit(fmt.Sprint(i), "x"); n != 1-i%2 {
			t.Errorf("browser %d: %d sockets took it", i, n)
		}
		_ = transport.Send(`42["register` + id(i))
		transport.Close()
	}
	b.wantUsers(0)
}

// A socket that reads nothing does not delay the user's other sockets (trap R1).
func TestStuckSocketStopsNobody(t *testing.T) {
	const events = 1000
	b := start(t)
	pages := []*siotest.Tab{b.join(4), b.join(3), b.join(4, true)}
	stuck, err := siotest.DialSocket(b.url, "EIO=4&transport=websocket")
	if err != nil {
		t.Fatal(err)
	}
	defer stuck.Close()
	for _, packet := range []string{"40", `42["register",{"userid":["42","stuck"]}]`} {
		if err := stuck.Send(packet); err != nil {
			t.Fatal(err)
		}
	}
	b.wantUsers(2)
	for _, p := range pages {
		p.Register("42")
	}
	large := `"` + strings.Repeat("x", 900<<10) + `"`
	for range 6 {
		b.emit("stuck", "x", large) // the kernel does not take it all
	}
	if n := b.publish("stuck", nil, nats.Header{wire.HeaderOp: {wire.OpDisconnect}}); n != 1 { // as soon as it has been sent all that
		t.Fatalf("%d sockets", n)
	}
	for i := range events {
		if n := b.emit("42", "n", fmt.Sprint(i)); n != len(pages) {
			t.Fatalf("event %d: %d sockets took it", i, n)
		}
	}
	if b.sockets.Load() != 4 {
		t.Error("the stuck socket is gone: the test proves nothing")
	}
	for _, p := range pages {
		for i := range events {
			p.Expect(fmt.Sprintf(`42["n",%d]`, i))
		}
	}
}

// An event that is queued for many polling browsers is in memory once (trap M3).
func TestAbandonedPollsShareWhatWaits(t *testing.T) {
	const pollers, events, size = 100, 8, 64 << 10
	b := start(t)
	for i := range pollers {
		conn, err := siotest.Connect(b.url, siotest.Options{EIO: 3 + i%2, Polling: true, Base64: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		packets := []string{`42["register",{"userid":"42"}]`}
		if conn.EIO == 4 {
			packets = append([]string{"40"}, packets...)
		}
		for _, packet := range packets {
			if err := conn.Send(packet); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := heap()
	for range events {
		if n := b.emit("42", "x", `"`+strings.Repeat("я", size/2)+`"`); n != pollers {
			t.Fatalf("%d sockets took it", n)
		}
	}
	// Once as it is, and once in ASCII for the old clients: three times as long.
	if grown := heap() - before; grown > 8*events*size {
		t.Errorf("%d bytes more for %d, taken by %d browsers", grown, events*size, pollers)
	}
}

// heap is what is in use, in bytes.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A large event of small parts is not decoded.
func TestLargeEventsCostLittle(t *testing.T) {
	const tooMany = `[{"ok":false,"error":"too many ids: a socket may hold 32"}]`
	b := start(t)
	p := b.join(4)
	parts := strings.Repeat(",1", 500_000)
	var keys []byte
	for i := range 60_000 {
		keys = fmt.Appendf(keys, `"%x":[],`, i)
	}
	object := "{" + string(keys) + `"":0}`
	deep := strings.Repeat("[", 9000) + strings.Repeat("]", 9000)
	for _, c := range []struct{ packet, answer string }{
		{`42["other"` + parts + `]`, ""},
		{`451-8["register",` + object[:len(object)-1] + `,"userid":"y"}]`, `438[{"ok":true}]`},
		{`422["register",{"userid":[1` + parts + `]}]`, "432" + tooMany},
		{`423["register",{"userid":"x"},[1` + parts + `]]`, `433[{"ok":true}]`},
		{`424["register",{"userid":` + object + `}]`, "434" + malformed},
		{`425["register",` + object + `]`, "435" + noUserID},
		{`427["other",` + object + `]`, "437" + unknown},
		{`426["register",{"userid":[` + strings.Repeat(deep+",", 30) + deep + `]}]`, "436" + malformed},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		p.Send(c.packet)
		if c.answer != "" {
			p.Expect(c.answer)
		}
		p.ExpectAlive()
		runtime.ReadMemStats(&after)
		if cost := (after.TotalAlloc - before.TotalAlloc) / uint64(len(c.packet)); cost > 16 { // the sender's copies too
			t.Errorf("each byte of %.30q cost %d", c.packet, cost)
		}
	}
}

// While NATS is away, the registrations of one connection that wait for it are
// limited.
func TestRegistrationsThatWait(t *testing.T) {
	const more = 6
	t.Run("bus away", func(inner *testing.T) {
		b := start(inner, func(c *config) { c.GapEvent = "" }) // whose place among the answers is open
		p := b.join(4)
		natstest.Stop(b.nats)
		for range maxPending + more {
			p.Send(`421["register",{"userid":"42"}]`)
		}
		for range more {
			p.Expect(`431[{"ok":false,"error":"not registered: 64 registrations of this page are not answered yet; try again after an answer"}]`)
		}
		p.ExpectAlive()
		b.nats = natstest.Restart(t, b.nats) // which outlives the bench
		for range maxPending {
			p.Expect(`431[{"ok":true}]`)
		}
		p.Register("43")
		if n := b.emit("43", "x"); n != 1 { // the publisher is back, too
			t.Errorf("%d sockets took it", n)
		}
	})
}

// Nothing that a browser sends is logged, at any level.
func TestNothingPrivateIsLogged(t *testing.T) {
	b := start(t)
	var lock sync.Mutex
	var logged bytes.Buffer
	log := slog.New(slog.NewTextHandler(writer(func(text []byte) (int, error) {
		lock.Lock()
		defer lock.Unlock()
		return logged.Write(text)
	}), &slog.HandlerOptions{Level: slog.LevelDebug}))
	b.log, b.engine.Log = log, log
	for _, packets := range [][]string{
		{"40", `420["register",{"userid":"secret"}]`}, {"40", `420["register",{"userid":{"secret":1}}]`}, {"40", `420["unregister",{"userid":["secret",""]}]`},
		{"40", `42["secret"]`}, {"40", `42["secret"`}, {"40/secret,"}, {`40{"token":"secret"}`}, {`40{"token":"secret"`}, {"4secret"}, {"secret"},
	} {
		transport, err := siotest.DialSocket(b.url, "EIO=4&transport=websocket&token=secret")
		if err != nil {
			t.Fatal(err)
		}
		for _, packet := range packets {
			_ = transport.Send(packet)
		}
		_ = transport.Send(`429["unregister",{"userid":"fence"}]`)
		for got, err := one(transport); err == nil && !strings.HasPrefix(got, "439"); {
			got, err = one(transport)
		}
		transport.Close()
	}
	b.wantNothing()
	lock.Lock()
	defer lock.Unlock()
	if text := logged.String(); text == "" || strings.Contains(text, "secret") {
		t.Errorf("logged: %q", text)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

// A page that sends without end is closed. The events of another page still
// arrive.
func TestTooManyFrames(t *testing.T) {
	b := start(t, func(c *config) { c.MaxFrames = 10 })
	neighbour := b.join(4)
	neighbour.Register("42")
	for _, polling := range [][]bool{nil, {true}} {
		p := b.join(4, polling...)
		p.Register("42")
		go func() {
			for p.Conn.Send(`42["other"]`) == nil {
			}
		}()
		for got := p.Next(); got != "" && got != "1"; {
			got = p.Next()
		}
	}
	b.wantClosed(eio.ReasonFrames, 2)
	if n := b.emit("42", "alert"); n != 1 {
		t.Errorf("%d sockets took it", n)
	}
	neighbour.Expect(`42["alert"]`)
}
