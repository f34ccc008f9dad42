package eio

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// exchange sends bytes on a connection of its own and reads the answers, as many
// as there are wanted.
func (a *app) exchange(request string, answers int) (got []answer) {
	a.t.Helper()
	conn, err := a.dial()
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, request); err != nil {
		a.t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	for range answers {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			a.t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			a.t.Fatal(err)
		}
		got = append(got, answer{resp.StatusCode, resp.Header, string(body)})
	}
	return got
}

// Polling works through proxies that speak HTTP/1.0, with and without kept
// connections. A websocket does not, and the session stays on polling.
func TestHTTP10(t *testing.T) {
	for _, eio := range []int{2, 3, 4} {
		for _, keep := range []string{"", "Connection: keep-alive\r\n"} {
			a := start(t)
			p := a.poll(eio, "b64=1")
			get := "GET /socket.io/?" + p.query + " HTTP/1.0\r\n" + keep + "\r\n"
			body, want := "4hello", "4hello"
			if eio < 4 {
				body, want = "6:4hello", "6:4hello"
			}
			post := fmt.Sprintf("POST /socket.io/?%s HTTP/1.0\r\n%sContent-Length: %d\r\n\r\n%s", p.query, keep, len(body), body)
			waiting := p.wait()
			wantAnswer(t, "POST", a.exchange(post, 1)[0], http.StatusOK, "ok")
			wantAnswer(t, "GET", await(t, "the GET", waiting), http.StatusOK, want)
			wantAnswer(t, "POST", a.exchange(post, 1)[0], http.StatusOK, "ok")
			got := a.exchange(get, 1)[0]
			wantAnswer(t, "GET", got, http.StatusOK, want)
			if got.header.Get("Content-Length") != fmt.Sprint(len(want)) {
				t.Errorf("EIO %d: %v", eio, got.header)
			}
			if keep != "" {
				both := a.exchange(post+get, 2)
				wantAnswer(t, "POST", both[0], http.StatusOK, "ok")
				wantAnswer(t, "GET behind it", both[1], http.StatusOK, want)
			}
			asks := strings.Replace(strings.Replace(string(handshake(strings.ReplaceAll(p.query, "transport=polling", ""))), "HTTP/1.1", "HTTP/1.0", 1), "Host: test\r\n", "", 1)
			if got := a.exchange(asks, 1)[0]; got.status < 400 {
				t.Errorf("EIO %d: a websocket by HTTP/1.0: %v", eio, got)
			}
			p.untilPolling()
			p.wantPost(body)
			p.wantGet(want)
		}
	}
}

// A client that waits for leave to send its body gets it.
func TestExpectContinue(t *testing.T) {
	a := start(t)
	p := a.poll(4)
	conn, err := a.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReader(conn)
	_, _ = fmt.Fprintf(conn, "POST /socket.io/?%s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 6\r\n\r\n", p.query)
	if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		t.Fatalf("%q, %v", line, err)
	}
	_, _ = in.ReadString('\n')
	_, _ = io.WriteString(conn, "4hello")
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", resp, err)
	}
	p.wantGet("4hello")
}
