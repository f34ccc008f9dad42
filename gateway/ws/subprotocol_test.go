package ws

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// subprotocols are what browsers and strangers offer, and what is selected.
var subprotocols = map[string]string{
	"chat":                     "chat",
	"chat, superchat":          "chat",
	" \tchat \t,superchat":     "chat",
	"v4.channel.k8s.io":        "v4.channel.k8s.io",
	"!#$%&'*+-.^_`|~09AZaz":    "!#$%&'*+-.^_`|~09AZaz",
	strings.Repeat("x", 4<<10): strings.Repeat("x", 4<<10),

	"":                              "",
	",":                             "",
	", chat":                        "",
	"two words":                     "",
	`"quoted"`:                      "",
	"name=value":                    "",
	"a/b":                           "",
	"чат":                           "",
	"a\x00b":                        "",
	strings.Repeat("x", 4<<10+1):    "",
	"a\r\nSet-Cookie: session=mine": "",
}

func TestSubprotocol(t *testing.T) {
	for offered, want := range subprotocols {
		if got := Subprotocol(http.Header{subprotocolHeader: {offered}}); got != want {
			t.Errorf("%.60q: %.60q, want %.60q", offered, got, want)
		}
	}
	if got := Subprotocol(http.Header{}); got != "" {
		t.Errorf("without the header: %q", got)
	}
	if got := Subprotocol(http.Header{subprotocolHeader: {"a", "b"}}); got != "a" {
		t.Errorf("with two headers: %q", got)
	}
}

// Whatever is selected is a token, and the first that was offered.
func FuzzSubprotocol(f *testing.F) {
	for offered := range subprotocols {
		f.Add(offered)
	}
	f.Fuzz(func(t *testing.T, offered string) {
		got := Subprotocol(http.Header{subprotocolHeader: {offered}})
		if got == "" {
			return
		}
		if len(got) > maxSubprotocol || strings.ContainsAny(got, " \t\r\n,;:\"/()<>@[]?={}\\\x00") || !strings.HasPrefix(strings.TrimLeft(offered, " \t"), got) {
			t.Errorf("%q of %q", got, offered)
		}
	})
}

// The answer to the handshake has the selected subprotocol, and no such header if
// there is none.
func TestUpgradeSelectsSubprotocol(t *testing.T) {
	srv := &Server{MaxMessage: 100, WriteTimeout: patience, NoPoller: *portable}
	defer srv.Close()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var c Conn
		if _, err := srv.Upgrade(w, r, &c, nobody{}); err == nil {
			c.Refuse(1000, "that is all")
		}
	}))
	defer web.Close()
	for header, want := range map[string][]string{
		"":                                      nil,
		"Sec-WebSocket-Protocol: a, b\r\n":      {"a"},
		"Sec-WebSocket-Protocol: two words\r\n": nil,
		"Sec-WebSocket-Protocol: a, two words\r\n": {"a"},
	} {
		conn, err := net.Dial("tcp", web.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"+header+"\r\n")
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		got := answer.Header[subprotocolHeader]
		if answer.StatusCode != http.StatusSwitchingProtocols || len(got) != len(want) || len(want) > 0 && got[0] != want[0] {
			t.Errorf("%q: %d %q, want %q", header, answer.StatusCode, got, want)
		}
		_ = conn.Close()
	}
}
