package sio

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/ramainen/doit-socket/gateway/eio"
	"github.com/ramainen/doit-socket/internal/siotest"
)

// A browser sends any bytes through the whole stack: raw on a websocket, as text
// frames or as the body of a POST, in any revision. The events of another page
// still arrive, no handler panics, and nothing of the browser is left.
func FuzzStranger(f *testing.F) {
	const frames, raw, post = 0, 1, 2
	f.Add(byte(2), byte(frames), []byte("40\n42"))
	f.Add(byte(2), byte(frames), []byte("40\n420[\"register\",{\"userid\":[\"*\",\">\",1]}]\n41\n40\n1"))
	f.Add(byte(1), byte(frames), []byte("2\n42[\"register\",{\"userid\":\"x\"}]\n51-[\"x\",{\"_placeholder\":true,\"num\":0}]\n5999999999-[]"))
	f.Add(byte(0), byte(post), []byte("\x00\x02\xff40\x00\x09\x09\x09\x09\x09\x09\x09\xff4"))
	f.Add(byte(1), byte(post), []byte("2:40999999999:4"))
	f.Add(byte(2), byte(post), []byte("40\x1e3\x1e42[\"register\",{}]\x1ebAAAA\x1e1"))
	f.Add(byte(2), byte(raw), []byte{0x81, 0x82, 1, 2, 3, 4, '4' ^ 1, '0' ^ 2, 0x88, 0x80, 0, 0, 0, 0})
	f.Add(byte(2), byte(raw), []byte{0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4})

	b := start(f, func(c *config) { c.PingInterval = time.Hour })
	neighbour := b.join(4)
	neighbour.register("neighbour")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: siotest.Patience}
	emits := 0
	f.Fuzz(func(t *testing.T, revision, how byte, input []byte) {
		b.t, neighbour.t = t, t // a target's helpers are not its f's
		revision = 2 + revision%3
		if how %= 3; how == post {
			b.attackByPolling(t, client, revision, input)
		} else {
			query := fmt.Sprintf("/socket.io/?EIO=%d&transport=websocket", revision)
			conn, early, _, err := ws.Dial(t.Context(), "ws"+strings.TrimPrefix(b.url, "http")+query)
			if err != nil {
				t.Fatal(err)
			}
			in := io.Reader(conn)
			if early != nil {
				in = early
			}
			_ = conn.SetDeadline(time.Now().Add(siotest.Patience))
			if how == frames {
				var stream []byte
				for packet := range bytes.SplitSeq(input, []byte("\n")) {
					stream = append(stream, ws.MustCompileFrame(ws.MaskFrameInPlace(ws.NewTextFrame(bytes.Clone(packet))))...)
				}
				input = stream
			}
			_, _ = conn.Write(input)
			_ = conn.(*net.TCPConn).CloseWrite()
			for _, err := ws.ReadFrame(in); err == nil; _, err = ws.ReadFrame(in) { // until the server has read it all
			}
			_ = conn.Close()
		}
		emits++
		if got := b.emit("neighbour", "fence", fmt.Sprint(emits)); got != 1 {
			t.Fatalf("%d sockets of the neighbour took the emit", got)
		}
		neighbour.want(fmt.Sprintf(`42["fence",%d]`, emits))
		if n := b.closed(eio.ReasonPanicking); n != 0 {
			t.Fatal("a fault of ours")
		}
	})
}

// attackByPolling opens a session, posts the body and says goodbye.
func (b *bench) attackByPolling(t *testing.T, client *http.Client, revision byte, body []byte) {
	t.Helper()
	url := fmt.Sprintf("%s/socket.io/?EIO=%d&transport=polling&b64=1", b.url, revision)
	ask := func(method, contentType string, body []byte) string {
		r, err := http.NewRequest(method, url, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", contentType)
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		answer := new(bytes.Buffer)
		_, _ = answer.ReadFrom(resp.Body)
		return answer.String()
	}
	_, sid, _ := strings.Cut(ask(http.MethodGet, "", nil), `"sid":"`)
	sid, _, _ = strings.Cut(sid, `"`)
	url += "&sid=" + sid
	contentType := "text/plain;charset=UTF-8"
	if len(body) > 0 && body[0] < 2 {
		contentType = "application/octet-stream"
	}
	ask(http.MethodPost, contentType, body)
	ask(http.MethodPost, "text/plain", []byte(map[bool]string{true: "1", false: "1:1"}[revision == 4]))
}
