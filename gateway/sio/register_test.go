package sio

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ramainen/doit-socket/gateway/eio"
	"github.com/ramainen/doit-socket/internal/siotest"
	"github.com/ramainen/doit-socket/internal/wire"
)

// What the page is told of an argument that is none.
const (
	noObject  = `[{"ok":false,"error":"the argument is no object: send {\"userid\": id}, where id is a string, a number or a list of them"}]`
	noUserID  = `[{"ok":false,"error":"the object has no member \"userid\", in small letters: send {\"userid\": id}, where id is a string, a number or a list of them"}]`
	malformed = `[{"ok":false,"error":"that is no id: send {\"userid\": id}, where id is a string, a number or a list of them"}]`
	binaryID  = `[{"ok":false,"error":"the id is binary data: send it as a string, {\"userid\": \"...\"}"}]`
	rounded   = `[{"ok":false,"error":"the id is a number beyond 9007199254740991, which browsers round, so that two ids become one: send it as a string, {\"userid\": \"...\"}"}]`
	unknown   = `[{"ok":false,"error":"this server knows the events \"register\" and \"unregister\" only: send everything else to your own server, by HTTP"}]`
)

// The bytes of every answer, and which ids receive events afterwards.
func TestRegister(t *testing.T) {
	ids := func(n int) string {
		list := make([]int, n)
		for i := range list {
			list[i] = i
		}
		b, _ := json.Marshal(list)
		return string(b)
	}
	const ok, long = `[{"ok":true}]`, `[{"ok":false,"error":"a user id is 1 to 256 bytes of UTF-8"}]`
	b := start(t)
	for _, c := range []struct {
		args   string
		answer string
		hears  []string
	}{
		{`{"userid":"42"}`, ok, []string{"42"}},
		{`{"userid":42}`, ok, []string{"42"}},
		{`{"userid":1e3}`, ok, []string{"1000"}},
		{`{"userid":4.5}`, ok, []string{"4.5"}},
		{`{"userid":"вася 😀"}`, ok, []string{"вася 😀"}},
		{`{"userid":"*"}`, ok, []string{"*"}},
		{`{"userid":[1,"2","two words"]}`, ok, []string{"1", "2", "two words"}},
		{`{"userid":["same","same"]}`, ok, []string{"same"}},
		{`{"userid":"x","more":[{}]},"and more"`, ok, []string{"x"}},
		{`{"userid":` + ids(32) + `}`, ok, []string{"0", "31"}},
		{`{"userid":"` + strings.Repeat("x", 256) + `"}`, ok, []string{strings.Repeat("x", 256)}},

		{`{"userid":` + ids(33) + `}`, `[{"ok":false,"error":"too many ids: a socket may hold 32"}]`, nil},
		{`{"userid":""}`, long, nil},
		{`{"userid":["ok",""]}`, long, nil},
		{`{"userid":"` + strings.Repeat("x", 257) + `"}`, long, nil},
		{`{"userid":["ok","` + strings.Repeat("я", 129) + `"]}`, long, nil},
		{`{"userid":{}}`, malformed, nil},
		{`{"userid":{"id":1}}`, malformed, nil},
		{`{"userid":null}`, malformed, nil},
		{`{"userid":true}`, malformed, nil},
		{`{"userid":[]}`, malformed, nil},
		{`{"userid":[["x"]]}`, malformed, nil},
		{`{"userid":["ok",null]}`, malformed, nil},
		{`{"userid":{"_placeholder":true,"num":0}}`, binaryID, nil},

		// Numbers that a browser rounds, and those around them that it does not.
		{`{"userid":9007199254740991}`, ok, []string{"9007199254740991"}},
		{`{"userid":-9007199254740991}`, ok, []string{"-9007199254740991"}},
		{`{"userid":"9007199254740993"}`, ok, []string{"9007199254740993"}},
		{`{"userid":["76561198000000001","76561198000000002"]}`, ok, []string{"76561198000000001", "76561198000000002"}},
		{`{"userid":4503599627370495.5}`, ok, []string{"4503599627370495.5"}},
		{`{"userid":9007199254740992}`, rounded, nil},
		{`{"userid":9007199254740993}`, rounded, nil},
		{`{"userid":-9007199254740992}`, rounded, nil},
		{`{"userid":76561198000000001}`, rounded, nil},
		{`{"userid":["ok",76561198000000001]}`, rounded, nil},
		{`{"userid":9007199254740992.0}`, rounded, nil},
		{`{"userid":9007199254740993.5}`, rounded, nil},
		{`{"userid":1e21}`, rounded, nil},
		{`{"userid":-1e300}`, rounded, nil},
		{`{"userid":1e999}`, rounded, nil},

		// Another name than userid, also beside it.
		{`{"userid":"ours","userId":"other","user_id":"other"}`, ok, []string{"ours"}},
		{`{"userId":"other","userid":"ours"}`, ok, []string{"ours"}},
		{`{"userid":"first","userid":"last"}`, ok, []string{"last"}},
		{`{"\u0075serid":"escaped"}`, ok, []string{"escaped"}},
		{` { "more" : { "userid" : [ "}" ] } , "userid" : "spaced" } `, ok, []string{"spaced"}},
		{`{"__proto__":{"userid":"x"},"userid":"__proto__"}`, ok, []string{"__proto__"}},
		{`{"userid":["__proto__","constructor","toString"]}`, ok, []string{"__proto__", "constructor", "toString"}},
		{`{"userId":"42"}`, noUserID, nil},
		{`{"USERID":"42"}`, noUserID, nil},
		{`{"uſerid":"42"}`, noUserID, nil},
		{`{"user_id":"42"}`, noUserID, nil},
		{`{"id":"42"}`, noUserID, nil},
		{`{"more":{"userid":"42"}}`, noUserID, nil},
		{`{"__proto__":{"userid":"42"}}`, noUserID, nil},
		{`{}`, noUserID, nil},
		{`{"_placeholder":true,"num":0}`, noUserID, nil},

		{`null`, noObject, nil},
		{`"42"`, noObject, nil},
		{`42`, noObject, nil},
		{`true`, noObject, nil},
		{`"{\"userid\":\"42\"}"`, noObject, nil},
		{`"userid","42"`, noObject, nil},
		{`[{"userid":"42"}]`, noObject, nil},
		{``, noObject, nil},
	} {
		for _, revision := range []int{3, 4} {
			p := b.join(revision)
			packet := `["register",` + c.args + `]`
			if c.args == "" {
				packet = `["register"]`
			}
			p.Send("4212" + packet)
			p.Expect("4312" + c.answer)
			b.wantUsers(len(c.hears) + hidden(c.args))
			for _, id := range c.hears {
				if n := b.emit(id, "alert", `{"n": 1.0}`); n != 1 {
					t.Errorf("%s: %d sockets of %q", c.args, n, id)
				}
				p.Expect(`42["alert",{"n": 1.0}]`)
			}
			p.Close()
			b.wantUsers(0) // with the connection, its subscriptions go
		}
	}
}

// hidden is how many ids of the longest list are not tried.
func hidden(args string) int {
	if strings.Contains(args, "30,31]") {
		return 30
	}
	return 0
}

// Without a callback there is no answer, but the same effect.
func TestRegisterWithoutCallback(t *testing.T) {
	b := start(t)
	p := b.join(4)
	p.Send(`42["register",{"userid":"42"}]`, `42["register",{"userid":null}]`)
	b.wantUsers(1)
	p.ExpectAlive()
	p.Send(`42["unregister",{"userid":42}]`)
	p.ExpectAlive()
	b.wantUsers(0)
}

func TestRegisterSeveralTimes(t *testing.T) {
	b := start(t)
	p := b.join(4)
	for i := range 32 {
		p.Register(fmt.Sprint(i))
	}
	p.Register("7") // already there
	p.Send(`42007["register",{"userid":"one more"}]`)
	p.Expect(`43007[{"ok":false,"error":"too many ids: a socket may hold 32"}]`)
	p.Send(`421["unregister",{"userid":["7","8","unknown"]}]`)
	p.Expect(`431[{"ok":true}]`)
	b.wantUsers(30)
	p.Send(`422["unregister",{"userid":{}}]`, `423["unregister","9"]`, `424["unregister",{"userId":"9"}]`, `425["unregister",{"userid":[9,9007199254740992]}]`)
	p.Expect("432"+malformed, "433"+noObject, "434"+noUserID, "435"+rounded)
	p.Register("one more")
	if b.emit("7", "alert") != 0 || b.emit("one more", "alert") != 1 {
		t.Error("unregistered hears, or registered does not")
	}
	p.Expect(`42["alert"]`)
}

// An event reaches all sockets of a user, of every client version and transport.
func TestSeveralSocketsOfOneUser(t *testing.T) {
	b := start(t)
	var tabs []*siotest.Tab
	for _, revision := range []int{2, 3, 4} {
		tabs = append(tabs, b.join(revision), b.join(revision, true))
	}
	for _, p := range tabs {
		p.Register("42")
	}
	b.wantUsers(1)
	if n := b.emit("42", "alert", `"вася"`); n != len(tabs) {
		t.Errorf("%d sockets took it", n)
	}
	for i, p := range tabs {
		if i < 4 {
			p.Expect(`42["alert","\u0432\u0430\u0441\u044f"]`)
		} else {
			p.Expect(`42["alert","вася"]`)
		}
	}
	tabs[0].Close()
	b.wantClosed(eio.ReasonClient, 1)
	if n := b.emit("42", "alert"); n != len(tabs)-1 {
		t.Errorf("%d sockets took it", n)
	}
}

// All events of a burst arrive in order (trap R1).
func TestEventsInOrder(t *testing.T) {
	b := start(t)
	tabs := []*siotest.Tab{b.join(4), b.join(4, true), b.join(3), b.join(3, true)}
	for _, p := range tabs {
		p.Register("42")
	}
	for i := range 500 {
		b.emit("42", "n", fmt.Sprint(i))
	}
	for _, p := range tabs {
		for i := range 500 {
			p.Expect(fmt.Sprintf(`42["n",%d]`, i))
		}
	}
}

// Messages from NATS may leave a socket out, count sockets, and close them.
func TestBusOptions(t *testing.T) {
	b := start(t)
	p := b.open(4)
	p.Send("40")
	id := p.ExpectJoined()
	other := b.join(4)
	p.Register("42")
	other.Register("42")
	if n := b.publish("42", []byte(`["alert"]`), nats.Header{wire.HeaderExcept: {id}}); n != 1 {
		t.Errorf("%d sockets took it", n)
	}
	other.Expect(`42["alert"]`)
	if n := b.publish("42", nil, nats.Header{wire.HeaderOp: {wire.OpCount}}); n != 2 {
		t.Errorf("%d sockets are counted", n)
	}
	p.ExpectAlive()
	if n := b.publish("42", nil, nats.Header{wire.HeaderOp: {wire.OpDisconnect}}); n != 2 {
		t.Errorf("%d sockets were closed", n)
	}
	for _, p := range []*siotest.Tab{p, other} {
		p.Expect("41")
		p.ExpectEnd()
	}
	b.wantClosed(reasonKicked, 2)
}

// CONNECT and register, sent without waiting, in one piece or in several, make
// a socket that is reached (traps R2, R3).
func TestRegisterAtOnce(t *testing.T) {
	b := start(t)
	const connects, abreast = 300, 6
	var all sync.WaitGroup
	for worker := range abreast {
		all.Go(func() {
			for i := worker; i < connects; i += abreast {
				revision := 3 + i%2
				transport, err := siotest.DialSocket(b.url, fmt.Sprintf("EIO=%d&transport=websocket", revision))
				if err != nil {
					t.Error(err)
					return
				}
				if revision == 4 {
					if err := transport.Send("40"); err != nil {
						t.Error(err)
					}
				}
				id := fmt.Sprintf("user %d", i)
				if err = transport.Send(`420["register",{"userid":"` + id + `"}]`); err != nil {
					t.Error(err)
				}
				got := ""
				for !strings.HasPrefix(got, "43") && err == nil {
					got, err = one(transport)
				}
				if got != `430[{"ok":true}]` {
					t.Errorf("connect %d: %q, %v", i, got, err)
				} else if n := b.emit(id, "alert"); n != 1 {
					t.Errorf("connect %d: %d sockets took it", i, n)
				} else if got, err := one(transport); got != `42["alert"]` {
					t.Errorf("connect %d: %q, %v", i, got, err)
				}
				transport.Close()
			}
		})
	}
	all.Wait()
	b.wantUsers(0)
}

// one returns the next packet.
func one(conn *siotest.Conn) (string, error) {
	return conn.Receive(time.Now().Add(siotest.Patience))
}
