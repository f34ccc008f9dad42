package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/siotest"
)

// The cases of the published protocol suites, with the timings that these ask
// for and under their names: of Engine.IO v4 those of handshake, heartbeat,
// close and upgrade, of Socket.IO v5 those of connect, disconnect and invalid
// packets. Where a case needs the suite's own server (an event "auth", a
// namespace /custom), what ours does instead is said at the case.
//
// Source: socketio/engine.io-protocol and socketio/socket.io-protocol, test-suite.
func TestPublishedSuites(t *testing.T) {
	s := suites{start(t, "embedded", "--ping-interval", "300ms", "--ping-timeout", "200ms", "--max-payload", "1000000").URL}
	cases := func(name string, of map[string]func(*testing.T)) {
		for does, run := range of {
			t.Run(name+"/"+does, run)
		}
	}
	cases("Engine.IO/handshake/polling", map[string]func(*testing.T){
		"successfully opens a session": func(t *testing.T) {
			status, body := s.get(t, "EIO=4&transport=polling")
			if status != http.StatusOK {
				t.Fatal(status, body)
			}
			wantOpen(t, body, "websocket")
		},
		"fails with an invalid EIO query parameter": func(t *testing.T) { // without one it is revision 3, as with allowEIO3
			s.wantRefused(t, "GET", "EIO=abc&transport=polling")
		},
		"fails with an invalid transport query parameter": func(t *testing.T) {
			s.wantRefused(t, "GET", "EIO=4")
			s.wantRefused(t, "GET", "EIO=4&transport=abc")
		},
		"fails with an invalid request method": func(t *testing.T) {
			s.wantRefused(t, "POST", "EIO=4&transport=polling")
			s.wantRefused(t, "PUT", "EIO=4&transport=polling")
		},
	})
	cases("Engine.IO/handshake/websocket", map[string]func(*testing.T){
		"successfully opens a session": func(t *testing.T) {
			s.open(t)
		},
		"fails with an invalid EIO query parameter": func(t *testing.T) {
			s.wantNoSocket(t, "EIO=abc&transport=websocket")
		},
		"fails with an invalid transport query parameter": func(t *testing.T) {
			s.wantNoSocket(t, "EIO=4")
			s.wantNoSocket(t, "EIO=4&transport=abc")
		},
	})
	cases("Engine.IO/heartbeat/polling", map[string]func(*testing.T){
		"sends ping and takes pong": func(t *testing.T) {
			session := s.poll(t)
			for range 3 {
				s.wantGet(t, session, "2")
				s.wantPost(t, session, "3")
			}
		},
		"closes the session upon ping timeout": func(t *testing.T) {
			session := s.poll(t)
			s.wantGet(t, session, "2")
			s.wantGet(t, session, "1")
			s.wantRefused(t, "GET", session)
		},
		"closes the session that nobody polls": func(t *testing.T) {
			session := s.poll(t)
			natstest.Await(t, "its end", func() bool {
				status, _ := s.do(t, "POST", session, "6") // no sign of life
				return status == http.StatusBadRequest
			})
			s.wantRefused(t, "GET", session)
		},
	})
	cases("Engine.IO/heartbeat/websocket", map[string]func(*testing.T){
		"sends ping and takes pong": func(t *testing.T) {
			w := s.open(t)
			for range 3 {
				w.Expect("2")
				w.Send("3")
			}
		},
		"closes the session upon ping timeout": func(t *testing.T) {
			w := s.open(t)
			w.Expect("2")
			w.ExpectEnd()
		},
	})
	cases("Engine.IO/close", map[string]func(*testing.T){
		"polling": func(t *testing.T) {
			session := s.poll(t)
			waits := make(chan string, 1)
			go func() {
				_, body := s.get(t, session)
				waits <- body
			}()
			s.wantPost(t, session, "1") // it may come first
			if body := <-waits; body != "6" {
				t.Errorf("GET beside the close: %q", body)
			}
			s.wantRefused(t, "GET", session)
		},
		"websocket": func(t *testing.T) {
			w := s.open(t)
			w.Send("1")
			w.ExpectEnd()
		},
	})
	cases("Engine.IO/upgrade", map[string]func(*testing.T){
		"successfully upgrades": func(t *testing.T) {
			session := s.poll(t)
			w := s.upgrade(t, session)
			w.Send("2probe")
			w.Expect("3probe")
			s.wantGet(t, session, "6")
			w.Send("5", "40")
			w.ExpectJoined()
		},
		"ignores HTTP requests with same sid after upgrade": func(t *testing.T) {
			session := s.poll(t)
			w := s.upgrade(t, session)
			w.Send("2probe", "5")
			s.wantRefused(t, "GET", session) // it may come first
			w.Expect("3probe")
			w.Send("40")
			w.ExpectJoined()
		},
		"ignores a websocket with same sid after upgrade": func(t *testing.T) {
			session := s.poll(t)
			w := s.upgrade(t, session)
			w.Send("2probe", "5")
			s.upgrade(t, session).ExpectEnd()
			w.Expect("3probe")
			w.Send("40")
			w.ExpectJoined()
		},
	})
	cases("Socket.IO/connect", map[string]func(*testing.T){
		"the main namespace": func(t *testing.T) {
			w := s.open(t)
			w.Send("40")
			w.ExpectJoined()
		},
		"the main namespace with a payload": func(t *testing.T) { // which nobody here reads
			w := s.open(t)
			w.Send(`40{"token":"123"}`)
			w.ExpectJoined()
		},
		"an unknown namespace": func(t *testing.T) { // as all but "/" are
			w := s.open(t)
			w.Send("40/random", "40/custom,", `40/custom,{"token":"abc"}`)
			w.Expect(`44/random,{"message":"Invalid namespace"}`)
			w.Expect(`44/custom,{"message":"Invalid namespace"}`)
			w.Expect(`44/custom,{"message":"Invalid namespace"}`)
		},
		"an invalid handshake": func(t *testing.T) {
			w := s.open(t)
			w.Send("4abc")
			w.ExpectEnd()
		},
		"no handshake": func(t *testing.T) { s.open(t).ExpectEnd() },
	})
	cases("Socket.IO/disconnect", map[string]func(*testing.T){
		"the main namespace": func(t *testing.T) {
			w := siotest.Join(t, s.base, siotest.Options{})
			w.Send("41")
			w.Expect("2") // the connection stays
		},
		"a custom namespace": func(t *testing.T) { // refused, and the main one stays
			w := siotest.Join(t, s.base, siotest.Options{})
			w.Send("40/custom")
			w.Expect(`44/custom,{"message":"Invalid namespace"}`)
			w.Send(`42456["register",{"userid":"a"}]`)
			w.Expect(`43456[{"ok":true}]`)
		},
		"a custom namespace that it is not in": func(t *testing.T) { // closed, as by Node's server
			s.wantInvalid(t, "41/custom")
		},
	})
	cases("Socket.IO/message", map[string]func(*testing.T){
		"with an ack": func(t *testing.T) {
			w := siotest.Join(t, s.base, siotest.Options{})
			w.Send(`42456["register",{"userid":"a"}]`)
			w.Expect(`43456[{"ok":true}]`)
		},
		"unknown packet type":    func(t *testing.T) { s.wantInvalid(t, "4abc") },
		"invalid payload format": func(t *testing.T) { s.wantInvalid(t, "42{}") },
		"invalid ack id":         func(t *testing.T) { s.wantInvalid(t, `42abc["register",1,"2",{"3":[true]}]`) },
	})
}

// suites asks a server.
type suites struct{ base string }

func (s suites) do(t *testing.T, method, query, body string) (int, string) {
	r, err := http.NewRequest(method, s.base+"/socket.io/?"+query, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp.StatusCode, string(answer)
}

func (s suites) get(t *testing.T, query string) (int, string) { return s.do(t, "GET", query, "") }

func (s suites) wantGet(t *testing.T, query, want string) {
	t.Helper()
	if status, body := s.get(t, query); status != http.StatusOK || body != want {
		t.Fatalf("GET: %d %q, want %q", status, body, want)
	}
}

func (s suites) wantPost(t *testing.T, query, body string) {
	t.Helper()
	if status, answer := s.do(t, "POST", query, body); status != http.StatusOK || answer != "ok" {
		t.Fatalf("POST %q: %d %q", body, status, answer)
	}
}

func (s suites) wantRefused(t *testing.T, method, query string) {
	t.Helper()
	if status, body := s.do(t, method, query, ""); status != http.StatusBadRequest {
		t.Errorf("%s %s: %d %q, want 400", method, query, status, body)
	}
}

// wantOpen checks an open packet.
func wantOpen(t *testing.T, packet string, upgrades ...string) (sid string) {
	t.Helper()
	var open map[string]any
	if !strings.HasPrefix(packet, "0") || json.Unmarshal([]byte(packet[1:]), &open) != nil {
		t.Fatalf("open packet %q", packet)
	}
	sid, _ = open["sid"].(string)
	listed, _ := open["upgrades"].([]any)
	if len(open) != 5 || sid == "" || len(listed) != len(upgrades) || len(upgrades) > 0 && listed[0] != upgrades[0] ||
		open["pingInterval"] != 300. || open["pingTimeout"] != 200. || open["maxPayload"] != 1e6 {
		t.Errorf("open packet %q", packet)
	}
	return sid
}

// poll opens a session on polling and returns the query of its requests.
func (s suites) poll(t *testing.T) (query string) {
	t.Helper()
	_, body := s.get(t, "EIO=4&transport=polling")
	return "EIO=4&transport=polling&sid=" + url.QueryEscape(wantOpen(t, body, "websocket"))
}

// open opens a session on a websocket.
func (s suites) open(t *testing.T) *siotest.Tab {
	t.Helper()
	w := siotest.Open(t, s.base, siotest.Options{})
	wantOpen(t, w.Opened)
	return w
}

func (s suites) upgrade(t *testing.T, session string) *siotest.Tab {
	t.Helper()
	return siotest.OpenSocket(t, s.base, strings.Replace(session, "polling", "websocket", 1))
}

func (s suites) wantNoSocket(t *testing.T, query string) {
	t.Helper()
	if w, err := siotest.DialSocket(s.base, query); err == nil {
		w.Close()
		t.Errorf("a websocket for %q", query)
	}
}

// wantInvalid checks that a socket in "/" does not survive the packet.
func (s suites) wantInvalid(t *testing.T, packet string) {
	t.Helper()
	w := siotest.Join(t, s.base, siotest.Options{})
	w.Send(packet)
	w.ExpectEnd()
}
