package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/siotest"
)

// ask sends a request target as it is, which net/http's client would clean.
func ask(t *testing.T, base, target string) (status int, body string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(siotest.Patience))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", target)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// Whatever reaches the handler of /emit, however the path is spelled, is an emit:
// it is counted and bounded as one, and with --emit-listen it is on that listener
// alone. Whatever does not reach it is 404.
func TestSpellingsOfEmit(t *testing.T) {
	reach := []string{"/emit", "/emit/", "/%65mit", "/%65%6D%69%74/", "/emit%2F", "http://any.example/%65mit", "//emit", "/%2Femit", "/emit//",
		"/push/emit", "//push//emit/", "/%70ush%2Femit"}
	miss := []string{"/EMIT", "/%45mit", "/emit/.", "/x/../emit", "/%2565mit", "/emit;x", "/emit%00", "/emit%3F",
		"/push/push/emit", "/push/../emit", "/pushemit", "/PUSH/emit", "/push/EMIT"}
	for _, split := range []bool{false, true} {
		admin := siotest.FreeAddress(t)
		args := []string{"--path-prefix", "/push"}
		if split {
			args = append(args, "--emit-listen", "127.0.0.1:0")
		}
		out := serveOn(t, admin, args...)
		public, emits := urlIn(t, out, "listens on "), urlIn(t, out, `file_get_contents\('`)
		counted := func() (sum int) {
			for _, m := range regexp.MustCompile(`(?m)^doit_ingest_emits_total\{.*\} (\d+)$`).FindAllStringSubmatch(siotest.MustGet(t, "http://"+admin+"/metrics"), -1) {
				n, _ := strconv.Atoi(m[1])
				sum += n
			}
			return sum
		}
		check := func(base, target string, status, more int) {
			t.Helper()
			before := counted()
			got, body := ask(t, base, target)
			if got != status || counted() != before+more {
				t.Errorf("split %v, %s%.40s: %d %q, want %d; %d emits are counted, want %d", split, base, target, got, body, status, counted()-before, more)
			}
		}
		for _, query := range []string{"?id=1&message=hello", "?id=1", "?message=hello&" + strings.Repeat("id=1&", 1001), "?message=hello&id=" + strings.Repeat("x", 300)} {
			status, _ := ask(t, emits, "/emit"+query)
			for _, path := range reach {
				check(emits, path+query, status, 1)
				if split {
					check(public, path+query, 404, 0)
				}
			}
			for _, path := range miss {
				check(emits, path+query, 404, 0)
				check(public, path+query, 404, 0)
			}
		}
	}
}
