package listen

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/ramainen/doit-socket/internal/natstest"
)

// However a head is split into reads, it ends with its blank line, and what
// follows is not counted.
func TestHeadEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fields := rapid.IntRange(0, 300).Draw(t, "fields")
		end := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "end of line")
		text := "POST / HTTP/1.1" + end + strings.Repeat("a:"+end, fields) + end
		all := []byte(text + rapid.SampledFrom([]string{"", "body", "\n\n\r\n\n", "GET / HTTP/1.1\r\n"}).Draw(t, "what follows"))
		var h head
		for len(all) > 0 {
			n := rapid.IntRange(1, len(all)).Draw(t, "read")
			h.read(all[:n])
			all = all[n:]
		}
		if !h.ended || h.lines != fields+2 || h.bytes != len(text) {
			t.Fatalf("%+v, want %d lines and %d bytes", h, fields+2, len(text))
		}
	})
}

// A head with more fields than any client sends is answered 431 as soon as it has
// them. Others, and bodies of many lines, are not counted.
func TestHeaderFields(t *testing.T) {
	ls, s := limited(t, connectionLimits{all: 100}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprint(w, n)
	}), io.Discard)
	c := call(t, s, "127.0.0.1")
	for range 3 {
		body := strings.Repeat("\n", 20_000)
		c.say("POST / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("a:\r\n", 100) + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body))
		if answer, got := c.answer(); answer.StatusCode != 200 || got != "20000" {
			t.Fatalf("%d %q", answer.StatusCode, got)
		}
	}
	for _, c := range []*caller{c, call(t, s, "127.0.0.1")} {
		c.say("GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("a:\r\n", maxFields)) // and no end
		if answer, body := c.answer(); answer.StatusCode != 431 || !strings.Contains(body, "128 header fields") {
			t.Errorf("%d %q", answer.StatusCode, body)
		}
		c.gone()
	}
	if n := counted(t, ls.metrics.registry, "doit_connections_refused_total", "header fields"); n != 2 {
		t.Errorf("%v are counted", n)
	}
}

// All heads together, while they are read and while their requests wait, have a
// bounded size. When they are gone, there is room again. A quarter is kept for the
// listener of emits.
func TestHeadsAreBounded(t *testing.T) {
	wait := make(chan struct{})
	ls, s := limited(t, connectionLimits{all: 100, heads: 320 << 10}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/poll" {
			<-wait
		}
	}), io.Discard)
	const long = 100 << 10
	poll, partial := call(t, s, "127.0.0.1"), call(t, s, "127.0.0.1")
	poll.say("GET /poll?" + strings.Repeat("x", long) + " HTTP/1.1\r\nHost: x\r\n\r\n")
	partial.say("GET /?" + strings.Repeat("x", long))
	natstest.Await(t, "two heads", func() bool { return ls.shared.heads.Load() > 190<<10 })
	refused := call(t, s, "127.0.0.1")
	refused.say("GET /?" + strings.Repeat("x", long))
	if answer, body := refused.answer(); answer.StatusCode != 503 || !strings.Contains(body, "POST") {
		t.Errorf("%d %q", answer.StatusCode, body)
	}
	if status := call(t, s, "127.0.0.1").get("/"); status != 200 {
		t.Errorf("a short one: %d", status)
	}
	php := &connection{connections: ls.shared, listener: &listener{emits: true}}
	if php.head.bytes = 60 << 10; !php.chargeHead() {
		t.Error("a head of PHP is refused")
	}
	php.forgetHead()
	close(wait)
	if answer, _ := poll.answer(); answer.StatusCode != 200 {
		t.Error(answer.StatusCode)
	}
	partial.say(" HTTP/1.1\r\nHost: x\r\n\r\n")
	if answer, _ := partial.answer(); answer.StatusCode != 200 {
		t.Error(answer.StatusCode)
	}
	half := call(t, s, "127.0.0.1")
	half.say("GET /?" + strings.Repeat("x", long))
	natstest.Await(t, "a head", func() bool { return ls.shared.heads.Load() > 90<<10 })
	_ = half.conn.Close()
	natstest.Await(t, "the heads to be uncharged", func() bool { return ls.shared.heads.Load() == 0 })
}
