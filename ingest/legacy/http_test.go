package legacy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/wire"
)

// Every method is answered with OK or ERROR, even a non-standard one.
func TestEveryMethod(t *testing.T) {
	b := newBench(t)
	b.gw.Holds("u", 1)
	for _, method := range []string{"PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "QUERY", "post", "X"} {
		for _, path := range []string{"/emit", "/emit/"} {
			r, err := http.NewRequest(method, b.http.URL+path+"?id=u&message=e", nil)
			if err != nil {
				t.Fatal(err)
			}
			if status, answer := b.send(r); status != 405 || answer != "ERROR" {
				t.Errorf("%s %s: %d %q", method, path, status, answer)
			}
		}
	}
	if status, answer := b.do("GET", "/emit?id=u&message=e", ""); status != 200 || answer != "OK" {
		t.Errorf("GET: %d %s", status, answer)
	}
	if m := <-b.gw.Heard; string(m.Data) != `["e",{}]` || len(b.gw.Heard) > 0 {
		t.Errorf("heard %s and %d more", m.Data, len(b.gw.Heard))
	}
}

// A client that sends "Expect: 100-continue" with too large a Content-Length, as curl does, is answered before it sends
// the body.
func TestTooLargeIsSaidBeforeTheBody(t *testing.T) {
	b := newBench(t)
	answer := raw(t, b, "POST /emit HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 4097\r\nExpect: 100-continue\r\n\r\n")
	if status, body := answer.StatusCode, text(t, answer); status != 413 || body != "ERROR" {
		t.Errorf("%d %q", status, body)
	}
}

func TestBrokenBodies(t *testing.T) {
	b := newBench(t)
	head := "POST /emit HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
	for name, rest := range map[string]string{
		"chunk size":    "Transfer-Encoding: chunked\r\n\r\nzz\r\nid=u\r\n",
		"negative size": "Transfer-Encoding: chunked\r\n\r\n-1\r\nid=u\r\n",
	} {
		answer := raw(t, b, head+rest)
		if status, body := answer.StatusCode, text(t, answer); status != 400 || body != "ERROR" {
			t.Errorf("%s: %d %q", name, status, body)
		}
	}
}

// raw sends bytes on a new connection and returns the first answer.
func raw(t *testing.T, b *bench, request string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", b.http.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(natstest.Patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	return answer
}

func text(t *testing.T, answer *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// As with qs, escapes that are not UTF-8 stay escapes, and bytes that are not UTF-8 become U+FFFD. So no byte of
// another encoding reaches a socket.
func TestOldCodePage(t *testing.T) {
	b := newBench(t)
	b.gw.Holds("u", 1)
	for body, want := range map[string]string{
		"id=u&message=e&data=%22%CF%F0%22": "400 ERROR",
		"id=u&message=e&data=\"\xcf\xf0\"": "200 OK", // Node reads such bytes as U+FFFD
		"id=u&message=\xcf&data=1":         "200 OK",
	} {
		status, answer := b.do("POST", "/emit", body)
		if got := fmt.Sprint(status, " ", answer); got != want {
			t.Errorf("%q: %s, want %s", body, got, want)
		}
	}
	for len(b.gw.Heard) > 0 {
		if m := <-b.gw.Heard; wire.Check(m.Data) != nil {
			t.Errorf("%q was sent", m.Data)
		}
	}
}

// The answer to any request is OK or ERROR, and Doit-Error is text.
func FuzzEmitRequest(f *testing.F) {
	b := newBench(f)
	f.Add("id=u&message=e&data=1", "", formType, true)
	f.Add("", "id=u&message=e&a=1", "", false)
	f.Add("id[a][b]=%FF&message=\xff&data=\"\xff\"", "%", "x/y; \xff", true)
	f.Add(`{"id":[1,{}],"msg":"e"}`, "", jsonType, true)
	f.Fuzz(func(t *testing.T, body, query, contentType string, post bool) {
		method := http.MethodGet
		if post {
			method = http.MethodPost
		}
		r := httptest.NewRequest(method, "/emit", strings.NewReader(body))
		r.URL.RawQuery = query
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		b.http.Config.Handler.ServeHTTP(w, r)
		if answer := w.Body.String(); !slices.Contains([]string{"OK", "ERROR"}, answer) {
			t.Fatalf("%q", answer)
		}
		if told := w.Header()["Doit-Error"]; told != nil && !headerText.MatchString(told[0]) {
			t.Fatalf("%q", told)
		}
	})
}
