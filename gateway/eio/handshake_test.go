package eio

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

func TestHandshakeOnPolling(t *testing.T) {
	p := start(t).poll(4)
	if got := p.answer.header.Get("Content-Type"); got != typeText {
		t.Errorf("Content-Type %q", got)
	}
	want := map[string]any{
		"sid": p.session.ID(), "upgrades": []any{"websocket"},
		"pingInterval": 25000.0, "pingTimeout": 20000.0, "maxPayload": 1048576.0,
	}
	wantJSON(t, p.answer.body[1:], want)
	if p.answer.body[0] != packetOpen || p.session.Protocol() != 4 {
		t.Errorf("%q", p.answer.body)
	}
}

func TestHandshakeOnWebsocket(t *testing.T) {
	w := start(t).socket(4)
	wantJSON(t, w.open[1:], map[string]any{
		"sid": w.session.ID(), "upgrades": []any{},
		"pingInterval": 25000.0, "pingTimeout": 20000.0, "maxPayload": 1048576.0,
	})
	w.send("4hello")
	w.want("4hello")
}

func wantJSON(t *testing.T, text string, want any) {
	t.Helper()
	var got any
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	a, _ := json.Marshal(got)
	b, _ := json.Marshal(want)
	if string(a) != string(b) {
		t.Errorf("%s, want %s", a, b)
	}
}

func TestRefusedRequests(t *testing.T) {
	a := start(t)
	for _, c := range []struct {
		method, query string
		want          protocolError
	}{
		{"GET", "", errTransport},
		{"GET", "EIO=abc&transport=polling", errRevision},
		{"GET", "EIO=1&transport=polling", errRevision},
		{"GET", "EIO=5&transport=polling", errRevision},
		{"GET", "EIO=4", errTransport},
		{"GET", "EIO=4&transport=webtransport", errTransport},
		{"GET", "EIO=4&transport=abc", errTransport},
		{"GET", "EIO=4&transport=polling&sid=unknown", errSession},
		{"POST", "EIO=4&transport=polling&sid=unknown", errSession},
		{"POST", "EIO=4&transport=polling", errMethod},
		{"PUT", "EIO=4&transport=polling", errMethod},
		{"DELETE", "EIO=4&transport=polling", errMethod},
		{"GET", "EIO=4&transport=websocket", errBadRequest},
		{"GET", "EIO=3&transport=polling&j=0", errBadRequest}, // JSONP
		{"GET", "EIO=4&transport=polling&j=0", errBadRequest},
	} {
		got := a.newPoller(c.query).request(c.method, "")
		body, _ := json.Marshal(c.want)
		wantAnswer(t, c.method+" "+c.query, got, http.StatusBadRequest, string(body)+"\n")
	}
	for _, query := range []string{"EIO=abc", "EIO=5", "EIO=4&sid=unknown", "sid=unknown"} {
		if _, status := a.connect(query, nil); status != http.StatusBadRequest {
			t.Errorf("websocket with %q: %d", query, status)
		}
	}
	if a.Sessions() != 0 || len(a.opened) != 0 {
		t.Error("a refused request opened a session")
	}
}

// A handshake without EIO opens a session of revision 3, with answers in the text
// framing. Its requests need no EIO, and no other revision than its own.
func TestHandshakeWithoutRevision(t *testing.T) {
	a := start(t)
	for _, query := range []string{"transport=polling", "EIO=&transport=polling", "transport=polling&b64=1"} {
		p := a.newPoller(query)
		got := p.get()
		_, open, _ := strings.Cut(got.body, ":0")
		if got.status != http.StatusOK || got.header.Get("Content-Type") != typeText || !strings.HasPrefix(open, "{") {
			t.Fatalf("%s: %v", query, got)
		}
		p.session = await(t, "OnOpen", a.opened)
		if p.session.Protocol() != 3 {
			t.Errorf("%s: revision %d", query, p.session.Protocol())
		}
		p.query += "&sid=" + p.session.ID()
		p.wantPost("3:4yo")
		p.wantGet("3:4yo")
		p.query = "EIO=4&" + strings.TrimPrefix(p.query, "EIO=&")
		if got := p.get(); got.status != http.StatusBadRequest {
			t.Errorf("EIO=4 in a session of revision 3: %v", got)
		}
	}
	w, status := a.connect("", nil)
	if w == nil {
		t.Fatalf("a websocket: %d", status)
	}
	if _, open := w.receive(); open[0] != packetOpen || await(t, "OnOpen", a.opened).Protocol() != 3 {
		t.Errorf("a websocket: %q", open)
	}
	w.send("2") // the heartbeat of revision 3
	w.want("3")

	p := a.poll(4) // whatever the session's revision is
	p.query = strings.Replace(p.query, "EIO=4&", "", 1)
	p.wantPost("4yo")
	p.wantGet("4yo")
	w = p.probed()
	w.send("5")
	w.send("4hello")
	w.want("4hello")
}

// An invalid websocket handshake opens no session.
func TestRefusedWebsocket(t *testing.T) {
	a := start(t)
	for _, headers := range [][]string{
		{"Upgrade", "h2c", "Connection", "Upgrade"},
		{"Upgrade", "websocket", "Connection", "Upgrade"},
		{"Upgrade", "websocket", "Connection", "Upgrade", "Sec-WebSocket-Version", "13"},
		{"Upgrade", "websocket", "Connection", "Upgrade", "Sec-WebSocket-Version", "8", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="},
	} {
		if got := a.newPoller("EIO=4&transport=websocket").request("GET", "", headers...); got.status < 400 {
			t.Errorf("%q: %v", headers, got)
		}
	}
	if a.Sessions() != 0 || len(a.opened) != 0 {
		t.Error("a refused request opened a session")
	}
}

// Bytes that a browser sends right behind its handshake, or before it has read
// the answer, are not lost (trap R2).
func TestEarlyFrames(t *testing.T) {
	a := start(t)
	early := append(text("4one"), text("4two")...)
	w, status := a.connect("EIO=4", append(early, text("4cut")[:5]...))
	if w == nil {
		t.Fatalf("%d", status)
	}
	w.raw(text("4cut")[5:])
	if _, open := w.receive(); open[0] != packetOpen {
		t.Errorf("got %q first", open)
	}
	w.want("4one", "4two", "4cut")
	w.raw(masked(ws.OpClose, true, nil))
	a.wantClose(ReasonClient)
}
