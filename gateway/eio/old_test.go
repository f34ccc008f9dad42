package eio

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// The bytes that the published clients send and read, made by testdata/client-payloads.mjs.
//
//go:embed testdata/client-payloads.json
var clientPayloads []byte

type oldClient struct {
	Client string
	EIO    int
	Sends  struct{ Plain, Binary, Websocket []byte }
	Reads  struct{ Plain, Binary []string }
}

func oldClients(t testing.TB) (clients []oldClient) {
	t.Helper()
	if err := json.Unmarshal(clientPayloads, &clients); err != nil {
		t.Fatal(err)
	}
	return clients
}

// register is what every client in clientPayloads sends first; é is second.
const register = `2["register",{"userid":"вася-ß-😀"}]`

// The clients before 3.0 are understood in all of their framings, whether they
// encode text once or twice.
func TestOldClientsAreRead(t *testing.T) {
	for _, c := range oldClients(t) {
		for name, f := range map[string]struct {
			body  []byte
			query string
			kind  string
		}{
			"plain":  {c.Sends.Plain, "b64=1", "text/plain;charset=UTF-8"},
			"binary": {c.Sends.Binary, "", "application/octet-stream"},
		} {
			t.Run(c.Client+" "+name, func(t *testing.T) {
				a := start(t)
				heard := make(chan string, 9)
				a.onMessage = func(_ *Session, data []byte, _ bool) { heard <- string(data) }
				p := a.poll(c.EIO, f.query)
				got := p.request(http.MethodPost, string(f.body), "Content-Type", f.kind)
				wantAnswer(t, "POST", got, http.StatusOK, "ok")
				for _, want := range []string{register, "é"} {
					if got := await(t, "the message", heard); got != want {
						t.Errorf("heard %q, want %q", got, want)
					}
				}
			})
		}
		t.Run(c.Client+" websocket", func(t *testing.T) {
			a := start(t)
			heard := make(chan string, 9)
			a.onMessage = func(_ *Session, data []byte, _ bool) { heard <- string(data) }
			w := a.socket(c.EIO)
			w.raw(masked(ws.OpText, true, c.Sends.Websocket))
			if got := await(t, "the message", heard); got != register {
				t.Errorf("heard %q", got)
			}
		})
	}
}

// The server sends byte for byte what these clients read.
func TestOldClientsRead(t *testing.T) {
	long := strings.Repeat("x", 120)
	plain, binary := "6:4hello121:4"+long, "\x00\x06\xff4hello\x00\x01\x02\x01\xff4"+long
	for _, c := range oldClients(t) {
		want := fmt.Sprint([]string{"message", "hello", "message", long})
		if fmt.Sprint(c.Reads.Plain) != want || fmt.Sprint(c.Reads.Binary) != want {
			t.Errorf("%s reads %v, %v", c.Client, c.Reads.Plain, c.Reads.Binary)
		}
	}
	for _, eio := range []int{2, 3} {
		for query, f := range map[string]struct{ body, kind string }{"b64=1": {plain, typeText}, "": {binary, "application/octet-stream"}} {
			p := start(t).poll(eio, query)
			p.session.Send(Message([]byte("hello")))
			p.session.Send(Message([]byte(long)))
			got := p.get()
			wantAnswer(t, fmt.Sprint(eio, query), got, http.StatusOK, f.body)
			if kind := got.header.Get("Content-Type"); kind != f.kind || p.answer.header.Get("Content-Type") != f.kind {
				t.Errorf("Content-Type %q", kind)
			}
		}
	}
}

// All of them read text outside ASCII, because it is sent as JSON escapes.
func TestOldClientsGetASCII(t *testing.T) {
	const sent, escaped = `2["a","вася é 😀 \" \\"]`, `42["a","\u0432\u0430\u0441\u044f \u00e9 \ud83d\ude00 \" \\"]`
	shared := Message([]byte(sent)) // one frame for browsers of all kinds
	a := start(t)
	for _, eio := range []int{2, 3} {
		w := a.socket(eio)
		w.session.write(shared)
		w.want(escaped)
		p := a.poll(eio, "b64=1")
		p.session.write(shared)
		p.wantGet(fmt.Sprintf("%d:%s", len(escaped), escaped))
	}
	w := a.socket(4)
	w.session.write(shared)
	w.want("4" + sent)
}

// Ambiguous text of a 2.x client is taken for text that was encoded twice, until
// one packet of the session proves that it encodes once.
func TestOldTextEncodedOnce(t *testing.T) {
	a := start(t)
	p := a.poll(3, "b64=1")
	const ambiguous = "Ã©" // é, encoded twice, or these two characters
	p.wantPost("3:4" + ambiguous)
	p.wantGet(`7:4\u00e9`)
	p.wantPost("2:4я")
	p.wantGet(`7:4\u044f`)
	p.wantPost("3:4" + ambiguous)
	p.wantGet(`13:4\u00c3\u00a9`)
	p.wantPost("3:4😀2:4ü2:4x") // lengths are UTF-16 units
	p.wantGet(`13:4\ud83d\ude007:4\u00fc2:4x`)
}

// EIO 2 and 3: the browser pings, the server answers; data comes back with it.
func TestOldHeartbeat(t *testing.T) {
	for _, eio := range []int{2, 3} {
		a := start(t)
		w := a.socket(eio)
		w.send("2")
		w.want("3")
		w.send("2data")
		w.want("3data")
		p := a.poll(eio, "b64=1")
		p.wantPost("1:25:2data")
		p.wantGet("1:35:3data")
		w.send("3") // a pong is the server's
		w.wantCode(1002)
		a.wantClose(ReasonProtocol)
	}
}

func TestOldInvalidPayloads(t *testing.T) {
	for _, c := range []struct{ kind, body string }{
		{"text/plain", "abc"},
		{"text/plain", ":4x"},
		{"text/plain", "0:"},
		{"text/plain", "3:4x"},
		{"text/plain", "2:😀"},
		{"text/plain", "1:😀"},
		{"text/plain", "-1:4"},
		{"text/plain", "+2:4x"},
		{"text/plain", "99999999999:4x"},
		{"text/plain", "2:8x"},
		{"text/plain", "3:b4!"},
		{"text/plain", "2:b5"},
		{"text/plain", "2:4\xff"},
		{"text/plain", "2:4x2"},
		{"application/octet-stream", "2:4x"},
		{"application/octet-stream", "\x00\xff"},
		{"application/octet-stream", "\x00\x00\xff"},
		{"application/octet-stream", "\x00\x03\xff4x"},
		{"application/octet-stream", "\x00\x02"},
		{"application/octet-stream", "\x00\x024x"},
		{"application/octet-stream", "\x02\x02\xff4x"},
		{"application/octet-stream", "\x00\x02\xff4\xff"},
		{"application/octet-stream", "\x01\x02\xff4x"}, // the type of binary is 4, not '4'
		{"application/octet-stream", "\x00" + strings.Repeat("\x09", 30) + "\xff4x"},                                           // trap K5
		{"application/octet-stream", "\x00\x09\x02\x02\x03\x03\x07\x02\x00\x03\x06\x08\x05\x04\x07\x07\x05\x08\x00\x08\xff4x"}, // 1<<63
	} {
		a := start(t)
		p := a.poll(3, "b64=1")
		if got := p.request(http.MethodPost, c.body, "Content-Type", c.kind); got.status != http.StatusBadRequest {
			t.Errorf("%q: %v", c.body, got)
		}
		a.wantClose(ReasonProtocol)
	}
}

// Binary messages of every framing.
func TestOldBinary(t *testing.T) {
	a := start(t)
	a.onMessage = func(s *Session, data []byte, binary bool) { s.write(Message(fmt.Appendf(nil, "%x %v", data, binary))) }
	p := a.poll(3, "b64=1")
	wantAnswer(t, "binary", p.request("POST", "\x01\x03\xff\x04\xff\x00\x00\x02\xff4x", "Content-Type", "application/octet-stream"), 200, "ok")
	p.wantGet("10:4ff00 true9:478 false")
	p.wantPost("6:b4/wA=")
	p.wantGet("10:4ff00 true")
}
