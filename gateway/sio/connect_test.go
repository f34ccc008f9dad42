package sio

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/gateway/eio"
	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/siotest"
)

func TestConnect(t *testing.T) {
	b := start(t)
	ids := make(map[string]bool)
	for _, packet := range []string{"40", "40{}", `40{"token":"123"}`, "40null", "40/,", `40/,{"a":1}`, `40{"pid":1,"offset":[]}`} {
		for _, polling := range [][]bool{nil, {true}} {
			p := b.open(4, polling...)
			p.Send(packet)
			id := p.ExpectJoined()
			if ids[id] {
				t.Error("the same id again")
			}
			ids[id] = true
			p.ExpectAlive()
		}
	}
	if n := int(b.sockets.Load()); n != len(ids) {
		t.Errorf("%d sockets, want %d", n, len(ids))
	}
}

// Clients before 3.0 join "/" without a CONNECT.
func TestConnectOld(t *testing.T) {
	b := start(t)
	for _, revision := range []int{2, 3} {
		for _, polling := range [][]bool{nil, {true}} {
			p := b.open(revision, polling...)
			p.Expect("40")
			p.ExpectAlive()
			p.Send("40") // some ask nevertheless
			p.ExpectAlive()
			p.Send(`40/shop?a=b`, `40/shop,`)
			p.Expect(`44/shop,{"message":"Invalid namespace"}`, `44/shop,{"message":"Invalid namespace"}`)
			p.Send(`42/shop,["register",{"userid":"x"}]`) // ignored, as in the Node server of these clients
			p.ExpectAlive()
		}
	}
	if b.hub.Users() != 0 {
		t.Error("somebody is registered")
	}
}

func TestConnectUnknownNamespace(t *testing.T) {
	b := start(t)
	p := b.open(4)
	p.Send("40/random,")
	p.Expect(`44/random,{"message":"Invalid namespace"}`)
	p.Send(`40/random,{"token":1}`, "40/random?x=y,")
	p.Expect(`44/random,{"message":"Invalid namespace"}`, `44/random?x=y,{"message":"Invalid namespace"}`)
	p.Send("40")
	p.ExpectJoined()
	p.ExpectAlive()
}

// A browser that joins no namespace is closed (trap M3).
func TestConnectTimeout(t *testing.T) {
	b := start(t, func(c *config) { c.SocketIO.ConnectTimeout = 500 * time.Millisecond })
	silent, refused, polling := b.open(4), b.open(4), b.open(4, true)
	refused.Send("40/random,")
	refused.Expect(`44/random,{"message":"Invalid namespace"}`)
	silent.ExpectEnd()
	refused.ExpectEnd()
	polling.Expect("1")
	b.wantClosed(reasonIdle, 3)

	joined := b.join(4) // and stays
	old := b.join(3)
	b.open(4).ExpectEnd()
	joined.ExpectAlive()
	old.ExpectAlive()
}

// A CONNECT just when ConnectTimeout ends: the browser is either joined or
// closed.
func TestConnectAgainstTimeout(t *testing.T) {
	b := start(t, func(c *config) { c.SocketIO.ConnectTimeout = time.Millisecond })
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				transport, err := siotest.DialSocket(b.url, "EIO=4&transport=websocket")
				if err != nil {
					t.Error(err)
					return
				}
				_ = transport.Send("40")
				for packet := ""; err == nil && !strings.HasPrefix(packet, "40"); {
					packet, err = one(transport)
				}
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error("neither joined nor closed")
				}
				transport.Close()
			}
		})
	}
	all.Wait()
	b.wantNothing()
}

func TestDisconnectAndConnectAgain(t *testing.T) {
	b := start(t)
	p := b.open(4)
	for range 3 {
		p.Send("40")
		p.ExpectJoined()
		p.Register("42")
		if n := b.emit("42", "alert"); n != 1 {
			t.Errorf("%d sockets took it", n)
		}
		p.Expect(`42["alert"]`)
		p.Send("41")
		b.wantUsers(0)
		if n := b.emit("42", "alert"); n != 0 || b.sockets.Load() != 0 {
			t.Errorf("%d sockets took it", n)
		}
	}
	old := b.join(3)
	old.Register("42")
	old.Send("41")
	b.wantUsers(0)
	old.Send(`420["register",{"userid":"42"}]`, "40") // the first is for no socket and ignored
	old.Expect("40")
	old.Register("43")
	b.wantUsers(1)
}

// An invalid packet ends its connection. It affects neither the library nor
// other connections (traps K1, M4).
func TestInvalidPackets(t *testing.T) {
	b := start(t)
	witness := b.join(4)
	witness.Register("witness")
	for _, packets := range [][]string{
		{"4"}, {"4abc"}, {"47"}, {"4-1"}, {"4/"},
		{"40x"}, {"40[]"}, {`40"a"`}, {"401.5x"}, {"40{"}, {"40", "40"},
		{"42"}, {`42["register",{"userid":"x"}]`}, {"41"}, {"43"}, {"44"},
		{"40", "42"}, {"40", "42{}"}, {"40", "42[]"}, {"40", "42[1]"}, {"40", "42[null]"}, {"40", `42"x"`}, {"40", "42null"},
		{"40", `42abc["x"]`}, {"40", `42["x"`}, {"40", `42["x"]]`}, {"40", "421"}, {"40", `42123456789012345678901["x"]`},
		{"40", `42["connect"]`}, {"40", `42["disconnect","x"]`}, {"40", `42["newListener"]`}, {"40", `42["\u0063onnect_error"]`},
		{"40", `42/,["x"`}, {"40", `42/shop,["x"]`}, {"40", "44"}, {"40", `44{"message":"x"}`},
		{"40", "43abc"}, {"40/" + strings.Repeat("x", 600) + ","},
	} {
		p := b.open(4)
		p.Send(packets...)
		for got := p.Next(); got != ""; got = p.Next() {
			if !strings.HasPrefix(got, "40{") {
				t.Errorf("%q is answered %q", packets, got)
			}
		}
	}
	witness.ExpectAlive()
	if b.emit("witness", "fence") != 1 {
		t.Error("the witness is gone")
	}
	natstest.Await(t, "the others to be gone", func() bool { return b.sockets.Load() == 1 })
}

// Packets that clients may send and the server does not use are ignored (trap M4).
func TestIgnoredPackets(t *testing.T) {
	b := start(t)
	for _, revision := range []int{3, 4} {
		p := b.join(revision)
		p.Send(
			`42["other"]`, `42["other",{"a":[1,2]}]`, `42/,["other"]`, `42[""]`,
			`431["an answer to nothing"]`, `43[]`,
			`451-["x",{"_placeholder":true,"num":0}]`, `45999999999-["x"]`, `45`, `451-`, `451-1`, `451-{}`, `451-[]`, `451-["connect"]`, `451-["x"`, `451["x"]`,
			`45x-["x"]`, `451-/shop,["x"]`, `451-123456789012345678901["x"]`, `461-1[]`, "45"+strings.Repeat("9", 1000), "45"+strings.Repeat("9", 1000)+`-["x"]`,
			`5`, `6`, `51-["x"]`,
		)
		p.ExpectAlive()
	}
}

// A connection that ends at any stage leaves nothing behind (traps R4, R5).
func TestCloseDuringHandshake(t *testing.T) {
	b := start(t)
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for j := range 60 {
				b.rush(rushes[(i+j)%len(rushes)])
			}
		})
	}
	all.Wait()
	b.wantNothing()
	if total := b.closed(eio.ReasonClient) + b.closed(eio.ReasonNetwork) + b.closed(eio.ReasonProtocol); total == 0 {
		t.Error("nothing was opened")
	}
	b.wantUsers(0)
	p := b.join(4)
	p.Register("42")
	b.wantUsers(1)
}

// The same from our side.
func TestServerCloseDuringHandshake(t *testing.T) {
	for range 5 {
		b := start(t)
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				for j := range 10 {
					b.rush(rushes[(i+j)%len(rushes)])
				}
			})
		}
		all.Go(b.engine.Close)
		all.Wait()
		b.wantNothing()
	}
}

// A namespace that the library takes for "/" gets the name "/". Otherwise one
// browser could change how a shared frame is encoded for others.
func TestNamespaceByAnotherName(t *testing.T) {
	for _, name := range []string{"//host/", "/#x", "/%2e", "/?a=b", "//"} {
		t.Run(fmt.Sprintf("%q", name), func(t *testing.T) {
			b := start(t)
			stranger := b.join(3)
			stranger.Send("41", "40"+name+",", "42"+name+`,["register",{"userid":"42"}]`, `42["register",{"userid":"42"}]`)
			b.settle(stranger)
			page := b.join(4)
			page.Register("42")
			b.emit("42", "alert", "1")
			page.Expect(`42["alert",1]`)
		})
	}
}

// A browser cannot join a namespace twice by another spelling.
func TestNamespaceTwiceByAnotherName(t *testing.T) {
	for _, name := range []string{"//host/", "/#x"} {
		t.Run(fmt.Sprintf("%q", name), func(t *testing.T) {
			b := start(t)
			stranger := b.join(3)
			stranger.Send("40" + name + ",")
			stranger.ExpectEnd()
			natstest.Await(t, "it to be closed for a fault of its own", func() bool { return b.closed(eio.ReasonProtocol) == 1 })
		})
	}
}

// settle waits until the connection's packets so far have been handled.
func (b *bench) settle(p *siotest.Tab) {
	p.Send("2fence")
	for got := p.Next(); got != "3fence" && got != ""; {
		got = p.Next()
	}
}

// The auth of a CONNECT is not kept in memory.
func TestConnectPayloadIsBounded(t *testing.T) {
	b := start(t)
	p := b.open(4)
	p.Send(`40{"token":"` + strings.Repeat("x", 4000) + `"}`)
	p.ExpectJoined()
	p = b.open(4)
	p.Send(`40{"token":"` + strings.Repeat("x", 100_000) + `"}`)
	p.ExpectEnd()
}
