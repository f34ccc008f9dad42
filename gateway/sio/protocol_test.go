package sio

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/siotest"
)

// The cases of the published Socket.IO suite, revision 5, on connect, disconnect and invalid packets.

func TestConnect(t *testing.T) {
	b := newBench(t)
	t.Run("with a payload", func(t *testing.T) {
		r := b.raw("4")
		r.send(`40{"token":"x"}`)
		if got := r.next(); !strings.HasPrefix(got, `40{"sid":"`) {
			t.Errorf("got %q", got)
		}
	})
	t.Run("unknown namespace", func(t *testing.T) {
		r := b.raw("4")
		r.send("40/random,")
		r.want(`44/random,{"message":"Invalid namespace"}`)
		r.join() // and the connection is as good as before
	})
	t.Run("before 3.0 a client is in / unasked", func(t *testing.T) {
		for _, eio := range []string{"2", "3"} {
			r := b.raw(eio)
			r.want("40")
			r.send("40/random", "42/random,[\"x\"]", echo)
			if got := r.next(); !strings.HasPrefix(got, "44/random,") {
				t.Errorf("got %q", got)
			}
			r.want(back)
		}
	})
	t.Run("disconnect and connect again", func(t *testing.T) {
		r := b.raw("4")
		for range 3 {
			r.join()
			r.send(`420["register",{"userid":"again"}]`)
			r.want(`430[{"ok":true}]`)
			r.send("41")
		}
		r.join()
		if n := b.emit("again", `["e"]`); n != 0 {
			t.Errorf("%d sockets hear after DISCONNECT", n)
		}
	})
	b.gateway.engine.Close()
	b.empty()
}

func TestWhoJoinsNothingIsClosed(t *testing.T) {
	b := newBench(t, func(c *Config) { c.ConnectTimeout = 50 * time.Millisecond })
	b.raw("4").want("")
	b.empty()
}

// Whatever a browser sends, the process lives, and at most this one connection ends.
func TestHostilePackets(t *testing.T) {
	b := newBench(t)
	neighbour := siotest.Dial(t, b.url, siotest.Options{})
	neighbour.Register("neighbour")
	for _, c := range []struct {
		packets string // separated by spaces
		closes  bool
	}{
		{"42", true},
		{"40 42", true}, // ended zishang520's process
		{"40 42{}", true},
		{"40 42[]", true},
		{"40 42[1]", true},
		{"40 42[null]", true},
		{`40 42abc["x"]`, true},
		{`40 42["x"`, true},
		{`40 42["connect"]`, true},
		{`40 42["disconnect"]`, true},
		{"4abc", true},
		{"4", true},
		{"47", true},
		{"40[]", true},
		{"40 40", true},
		{"40 44", true},
		{"41", true},
		{"40 42/random,[\"x\"]", true},
		{"40 4299999999999999999999999[\"x\"]", true},
		{"40/" + strings.Repeat("x", 600) + ",", true},
		{`40 51-["x",{"_placeholder":true,"num":0}]`, false},
		{`40 5999999999-["x"]`, false},
		{"40 6", false},
		{"40 43", false},
		{"40 430[1]", false},
		{`40 42["message",{"deep":[[[[1]]]]}]`, false},
	} {
		r := b.raw("4")
		for _, p := range strings.Split(c.packets, " ") {
			r.send(p)
		}
		if !c.closes {
			r.send(echo)
		}
		last := r.next()
		for last != "" && last != back {
			last = r.next()
		}
		if c.closes != (last == "") {
			t.Errorf("%q: ended with %q", c.packets, last)
		}
		if b.emit("neighbour", `["still"]`) != 1 || neighbour.Next().Name != "still" {
			t.Fatalf("%q: the neighbour is deaf", c.packets)
		}
	}
}

func TestRegister(t *testing.T) {
	b := newBench(t)
	many := make([]string, 33)
	for i := range many {
		many[i] = fmt.Sprintf(`"%d"`, i)
	}
	ids := func(n int) string { return "[" + strings.Join(many[:n], ",") + "]" }
	for arg, ok := range map[string]bool{
		`{"userid":"a"}`: true, `{"userid":42}`: true, `{"userid":[1,"b"]}`: true, `{"userid":"*"}`: true, `{"userid":` + ids(32) + `}`: true,
		`{"userid":1.5}`: true, `{"userid":"` + strings.Repeat("x", 256) + `"}`: true,
		`{"userid":` + ids(33) + `}`: false, `{"userid":""}`: false, `{"userid":[]}`: false, `{"userid":["a",""]}`: false,
		`{"userid":{}}`: false, `{"userid":null}`: false, `{"userid":true}`: false, `{"userid":["a",["b"]]}`: false,
		`{"userid":"` + strings.Repeat("x", 257) + `"}`: false, `{}`: false, `"a"`: false, `null`: false,
	} {
		r := b.raw("4")
		r.join()
		r.send(`427["register",` + arg + `]`)
		switch got := r.next(); {
		case ok && got != `437[{"ok":true}]`:
			t.Errorf("%.60s: %s", arg, got)
		case !ok && !strings.HasPrefix(got, `437[{"ok":false,"error":"`):
			t.Errorf("%.60s: %s", arg, got)
		}
		r.transport.Close()
	}
	b.empty() // all or none, and nothing is left
	r := b.raw("4")
	r.join()
	r.send(`42["register"]`, `427["register"]`)
	if got := r.next(); !strings.HasPrefix(got, `437[{"ok":false`) {
		t.Errorf("no argument: %s", got)
	}
}

// A number and its digits are one id; unregister ends it; a socket may hold several.
func TestUsers(t *testing.T) {
	b := newBench(t)
	one := siotest.Dial(t, b.url, siotest.Options{})
	two := siotest.Dial(t, b.url, siotest.Options{EIO: 3, Polling: true})
	one.Register(42)
	two.Register([]any{"42", "43"})
	if n := b.emit("42", `["e",{"z":1,"a":"я"}]`); n != 2 {
		t.Errorf("%d sockets took it", n)
	}
	for _, c := range []*siotest.Client{one, two} {
		if got := c.Next(); got.Name != "e" || got.Args[0].(map[string]any)["a"] != "я" {
			t.Errorf("heard %v", got)
		}
	}
	if answer := two.Call("unregister", map[string]any{"userid": "42"}); answer["ok"] != true {
		t.Errorf("%v", answer)
	}
	if n := b.emit("42", `["e"]`); n != 1 {
		t.Errorf("after unregister %d sockets took it", n)
	}
	if n := b.emit("43", `["e"]`); n != 1 {
		t.Errorf("%d sockets hold the other id", n)
	}
	one.Close()
	two.Send("1") // a poller that just goes is noticed by its heartbeat only
	b.empty()
}

// A client that does not wait for anything is never lost or left deaf.
func TestHandshakeWithoutLuck(t *testing.T) {
	b := newBench(t)
	for i := range 300 {
		r := b.raw("4")
		r.send("40", fmt.Sprintf(`420["register",{"userid":"u%d"}]`, i), fmt.Sprintf(`421["register",{"userid":"v%d"}]`, i))
		if got := r.next(); !strings.HasPrefix(got, "40{") {
			t.Fatalf("client %d: %q", i, got)
		}
		r.want(`430[{"ok":true}]`)
		r.want(`431[{"ok":true}]`)
		if b.emit(fmt.Sprint("u", i), `["e"]`) != 1 {
			t.Fatalf("client %d is deaf", i)
		}
		r.want(`42["e"]`)
		r.transport.Close()
	}
	b.empty()
}

// A close in the middle of the handshake leaves nothing behind.
func TestCloseDuringTheHandshake(t *testing.T) {
	b := newBench(t, func(c *Config) { c.ConnectTimeout = time.Millisecond })
	for i := range 300 {
		transport, err := siotest.DialSocket(b.url, fmt.Sprintf("EIO=%d&transport=websocket", 3+i%2))
		if err != nil {
			continue // closed before it began
		}
		_ = transport.Send("40")
		_ = transport.Send(`42["register",{"userid":"x"}]`)
		transport.Close()
	}
	b.empty()
}

// The bus may end a user's sockets: the page is told that it is for good.
func TestDisconnectByTheBus(t *testing.T) {
	b := newBench(t)
	r := b.raw("4")
	r.join()
	r.send(`420["register",{"userid":"42"}]`)
	r.want(`430[{"ok":true}]`)
	m := natsMsg("user.42", "disconnect")
	if _, err := b.pub.RequestMsg(m, siotest.Patience); err != nil {
		t.Fatal(err)
	}
	r.want("41")
	r.want("")
	b.empty()
}

// Any bytes make a packet or none.
func FuzzParsePacket(f *testing.F) {
	for _, seed := range []string{"0", "2[\"a\",1]", "2/shop?x=1,12[\"a\"]", "51-[]", "0/a", "3", "2{}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, ok := parsePacket(data)
		if !ok {
			return
		}
		if !p.kind.Valid() || p.namespace == "" || p.namespace[0] != '/' || len(p.ack) > maxAck {
			t.Fatalf("%q: %+v", data, p)
		}
		if name, args, ok := p.event(); ok {
			_, _ = userSubjects(args)
			_ = name
		}
	})
}
