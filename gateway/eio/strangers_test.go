package eio

import (
	"net/http"
	"strings"
	"testing"
)

// JSONP would let any page run an answer with a visitor's packets as a script.
// It is refused in every form, and no answer is a script.
func TestNoJSONP(t *testing.T) {
	a := start(t)
	p := a.poll(3, "b64=1")
	p.session.Send(Message([]byte("secret")))
	bare := &pollClient{app: a, http: p.http}
	for _, query := range []string{"EIO=3&transport=polling&b64=1", p.query} {
		for _, jsonp := range []string{"j=0", "j=", "j", "j=___eio", "%6a=0", "j=1&j=0", "j=x&callback=y", "b64=1&j=0&t=1"} {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				bare.query = query + "&" + jsonp
				got := bare.request(method, "d=2%3A4x", "Content-Type", "application/x-www-form-urlencoded")
				wantAnswer(t, method+" "+bare.query, got, http.StatusBadRequest, `{"code":3,"message":"Bad request"}`+"\n")
			}
		}
		// Other names for the callback parameter have no effect.
		for _, jsonp := range []string{"callback=evil", "jsonp=evil", "c=evil", "J=0", "jsoncallback=evil"} {
			bare.query = query + "&" + jsonp
			got := bare.get()
			if kind := got.header.Get("Content-Type"); got.status != http.StatusOK || kind != typeText || got.header.Get("X-Content-Type-Options") != "nosniff" ||
				strings.Contains(got.body, "evil") || strings.Contains(got.body, "(") {
				t.Errorf("%s: %s %v", bare.query, kind, got)
			}
			p.session.Send(Message([]byte("secret")))
		}
	}
	p.wantGet("7:4secret")
}

// Cookies are neither set nor read.
func TestNoCookies(t *testing.T) {
	a := start(t)
	victim := a.poll(4)
	cookie := "io=" + victim.session.ID() + "; sid=" + victim.session.ID() + "; EIO=3; transport=websocket"
	var answers []answer
	ask := func(got answer, status int) answer {
		t.Helper()
		if got.status != status {
			t.Errorf("%v, want %d", got, status)
		}
		answers = append(answers, got)
		return got
	}
	other := a.newPoller(onPolling)
	open := ask(other.request(http.MethodGet, "", "Cookie", cookie), http.StatusOK)
	session := await(t, "a session of its own", a.opened)
	if session == victim.session || session.Protocol() != 4 || !strings.Contains(open.body, session.ID()) {
		t.Errorf("%v", open)
	}
	other.query += "&sid=" + session.ID()
	ask(other.request(http.MethodPost, "4hello", "Cookie", cookie), http.StatusOK)
	wantAnswer(t, "GET", ask(other.request(http.MethodGet, "", "Cookie", cookie), http.StatusOK), http.StatusOK, "4hello")
	ask(a.handshake(onWebsocket, "Cookie", cookie), http.StatusSwitchingProtocols)
	ask(other.request(http.MethodOptions, "", "Cookie", cookie, "Origin", "https://shop.example"), http.StatusNoContent)
	ask(a.newPoller(onPolling).request(http.MethodPost, "4x", "Cookie", cookie), http.StatusBadRequest) // no sid but in the cookie
	for _, got := range answers {
		if got.header.Get("Set-Cookie") != "" {
			t.Errorf("a cookie is set: %v", got)
		}
	}
	victim.wantPost("4mine")
	victim.wantGet("4mine")
}
