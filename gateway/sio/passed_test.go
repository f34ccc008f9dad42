package sio

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/siotest"
)

// dial sends a websocket's handshake for the guest's session, with frames behind it.
func (v *guest) dial(base, query, headers string, packets ...string) (*bufio.Reader, *http.Response) {
	v.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(natstest.Patience))
	request := fmt.Sprintf("GET /socket.io/?transport=websocket&%s HTTP/1.1\r\nHost: x\r\n%s%s\r\n", query, siotest.UpgradeHeaders, headers)
	for _, packet := range packets {
		request += string(siotest.Frame(packet))
	}
	if _, err := io.WriteString(conn, request); err != nil {
		v.t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	answer, err := http.ReadResponse(in, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	return in, answer
}

// What a handshake offers is answered by the session's node as by any other, also
// where all that is offered would be too long to be passed on.
func TestPassedSubprotocol(t *testing.T) {
	f := startFleet(t, []*server.Server{natstest.Start(t)}, 2)
	for offered, want := range map[string]string{
		"": "", "chat": "chat", "chat, superchat": "chat", "two words": "",
		"chat, " + strings.Repeat("x", 60<<10): "chat", strings.Repeat("x", 60<<10): "",
	} {
		for i, node := range f.nodes {
			v := visit(t, f.nodes[0].url, 4)
			headers := ""
			if offered != "" {
				headers = "Sec-WebSocket-Protocol: " + offered + "\r\n"
			}
			_, answer := v.dial(node.url, v.query(), headers)
			if got := answer.Header.Get("Sec-WebSocket-Protocol"); answer.StatusCode != http.StatusSwitchingProtocols || got != want {
				t.Errorf("node %d, %.30q: %d %q, want %q", i, offered, answer.StatusCode, got, want)
			}
		}
	}
}

// A session moves to a websocket at another node without a probe, too, and its
// requests need no EIO.
func TestPassedUpgradeWithoutProbe(t *testing.T) {
	f := startFleet(t, []*server.Server{natstest.Start(t)}, 2)
	owner, other := f.nodes[0], f.nodes[1]
	for _, revision := range []int{3, 4} {
		v := visit(t, owner.url, revision).join(owner.url, fmt.Sprint("user ", revision))
		in, answer := v.dial(other.url, strings.Replace(v.query(), fmt.Sprintf("EIO=%d", revision), "", 1), "", "5", `429["unregister",{"userid":"fence"}]`)
		if answer.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("EIO %d: %d", revision, answer.StatusCode)
		}
		want := func(packet string) {
			t.Helper()
			if frame, err := ws.ReadFrame(in); err != nil || string(frame.Payload) != packet {
				t.Fatalf("EIO %d: %q, %v, want %q", revision, frame.Payload, err, packet)
			}
		}
		want(`439[{"ok":true}]`)
		if n := owner.emit(fmt.Sprint("user ", revision), "alert"); n != 1 {
			t.Errorf("EIO %d: %d sockets took it", revision, n)
		}
		want(`42["alert"]`)
		if status, body := v.do(http.MethodPost, other.url, siotest.Payload(revision, "41")); status != http.StatusBadRequest {
			t.Errorf("EIO %d: a POST after the upgrade: %d %q", revision, status, body)
		}
	}
}
