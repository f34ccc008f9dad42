package eio

import (
	"encoding/json"
	"net/http"
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
		{"GET", "transport=polling", errRevision},
		{"GET", "EIO=abc&transport=polling", errRevision},
		{"GET", "EIO=1&transport=polling", errRevision},
		{"GET", "EIO=5&transport=polling", errRevision},
		{"GET", "EIO=4", errTransport},
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
	for _, query := range []string{"", "EIO=abc", "EIO=5", "EIO=4&sid=unknown"} {
		if _, status := a.connect(query, nil); status != http.StatusBadRequest {
			t.Errorf("websocket with %q: %d", query, status)
		}
	}
	if a.Sessions() != 0 || len(a.opened) != 0 {
		t.Error("a refused request opened a session")
	}
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

func TestCORS(t *testing.T) {
	a := start(t)
	const origin = "https://shop.example"
	query := "EIO=4&transport=polling"
	for method, p := range map[string]*pollClient{"GET": a.newPoller(query), "OPTIONS": a.newPoller(query), "PUT": a.newPoller(query)} {
		got := p.request(method, "", "Origin", origin)
		h := got.header
		if h.Get("Access-Control-Allow-Origin") != origin || h.Get("Access-Control-Allow-Credentials") != "true" || h.Get("Vary") != "Origin" {
			t.Errorf("%s: %v", method, h)
		}
		if preflight := method == "OPTIONS"; preflight != (h.Get("Access-Control-Allow-Methods") == "GET, POST") || preflight != (got.status == http.StatusNoContent) {
			t.Errorf("%s: %d %v", method, got.status, h)
		}
	}
	if h := a.newPoller(query).get().header; h.Get("Access-Control-Allow-Origin") != "" || h.Get("Cache-Control") != "no-store" {
		t.Errorf("without an origin: %v", h)
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
