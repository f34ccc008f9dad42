package legacy

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/ingest/publish"
	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/router"
	"github.com/ramainen/doit-socket/internal/wire"
)

// idle is a ResponseWriter that keeps nothing.
type idle struct{ header http.Header }

func (w idle) Header() http.Header         { return w.header }
func (w idle) Write(b []byte) (int, error) { return len(b), nil }
func (w idle) WriteHeader(int)             {}

// ids returns n parameters that name different users.
func ids(n int, pattern string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, pattern, i)
	}
	return b.String()
}

// A costly request is one that might cost much for each of its bytes.
type costly struct{ method, query, contentType, body string }

// request returns the request. Its size counts the strings only.
func (c costly) request() *http.Request {
	return &http.Request{
		Method: c.method, URL: &url.URL{Path: "/emit", RawQuery: c.query}, Header: http.Header{"Content-Type": {c.contentType}},
		Body: io.NopCloser(strings.NewReader(c.body)), ContentLength: int64(len(c.body)),
	}
}

func (c costly) size() int { return len(c.query) + len(c.contentType) + len(c.body) }

func costlyRequests() map[string]costly {
	const header = 120 << 10 // what fits into the head of a request
	post := func(body string) costly {
		return costly{http.MethodPost, "", "application/x-www-form-urlencoded", body}
	}
	object := func(body string) costly { return costly{http.MethodPost, "", "application/json", body} }
	parts := func(body string) costly {
		return costly{http.MethodPost, "", "multipart/form-data; boundary=b", body + "--b\nContent-Disposition:;name=message\n\ne\n--b--"}
	}
	get := func(query string) costly { return costly{method: http.MethodGet, query: query} }
	requests := map[string]costly{
		"one receiver":              post("id=u&message=e"),
		"1000 receivers":            post(ids(1000, "id=%x&") + "message="),
		"1000 long receivers":       post(ids(1000, "id="+strings.Repeat(".", 250)+"%x&") + "message="),
		"1000 empty receivers":      post(strings.Repeat("id[]&", 1000) + "message="),
		"9990 receivers":            post(ids(9990, "id=%x&") + "message="),
		"9990 empty receivers":      post(strings.Repeat("id&", 9990) + "message="),
		"indices backwards":         post(backwards(9990) + "message="),
		"indices shuffled":          post(shuffled(9990) + "message="),
		"deep JSON":                 post("id=u&message=e&data=" + strings.Repeat("[", 9999)),
		"flat JSON":                 post("id=u&message=e&data=[" + strings.Repeat("0,", 1<<19) + "0]"),
		"escaped JSON":              post("id=u&message=e&data=%22" + strings.Repeat("%5Cn", 1<<18) + "%22"),
		"control characters":        post("id=u&message=" + strings.Repeat("\x01", 1<<20)),
		"nested data":               post("id=u&message=e&data" + strings.Repeat("[0]", 32) + "=" + strings.Repeat("1", 1<<20)),
		"JSON, one receiver":        object(`{"id":"u","message":"e"}`),
		"JSON, 1000 receivers":      object(`{"id":[` + ids(1000, `"%x",`) + `1],"message":""}`),
		"JSON, deep data":           object(`{"id":"u","message":"e","data":` + strings.Repeat("[", 9998) + strings.Repeat("]", 9998) + "}"),
		"JSON, flat data":           object(`{"id":"u","message":"e","data":[` + strings.Repeat("0,", 1<<19) + "0]}"),
		"JSON, members":             object(`{"id":"u","message":"e"` + strings.Repeat(`,"":0`, 1<<20/5) + "}"),
		"JSON, escaped members":     object(`{"id":"u","message":"e"` + strings.Repeat(`,"\u0069":0`, 1<<20/11) + "}"),
		"multipart, one receiver":   parts("--b\nContent-Disposition:;name=id\n\nu\n"),
		"multipart, 9990 parts":     parts(ids(9990, "--b\nContent-Disposition:;name=id[]\n\n%x\n")),
		"multipart, 9990 no parts":  parts("--b\nContent-Disposition:;name=id\n\nu\n" + strings.Repeat("--b\n\n\n", 9990)),
		"multipart, delimiters":     parts("--b\nContent-Disposition:;name=id\n\nu" + strings.Repeat("\n--b.", 1<<20/5) + "\n"),
		"GET of short names":        get("id=u&message=e&" + shortNames(header)),
		"GET of one name":           get("id=u&message=e&" + strings.Repeat("a&", header/2)),
		"GET of control characters": get("id=u&message=e&a=" + strings.Repeat("%01", header/3)),
		"GET of ids":                get("message=e&" + strings.Repeat("id&", header/3)),
		"media type":                {http.MethodPost, "", "a/b" + ids(header/8, ";a%x=b"), ""},
		"media type in parts":       {http.MethodPost, "", "a/b" + ids(header/8, ";a*%d=b"), ""},
		"query of a POST":           {http.MethodPost, ids(9990, "id[%d]&"), "", ""},
	}
	for about, form := range hostileForms {
		if parameters := strings.SplitAfter(form, "&"); len(parameters) > 9990 {
			form = strings.Join(parameters[:9990], "")
		}
		requests["data, "+about] = post(strings.ReplaceAll(form, "id", "data") + "&id=u&message=e")
		requests["ids, "+about] = post(form + "&message=e")
	}
	return requests
}

func backwards(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "id[%d]&", n-i)
	}
	return b.String()
}

func shuffled(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "id[%d]&", i*7919%n)
	}
	return b.String()
}

// shortNames returns a query string of as many different names as fit into so many bytes.
func shortNames(size int) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		for n := i; ; n /= len(letters) {
			b.WriteByte(letters[n%len(letters)])
			if n < len(letters) {
				break
			}
		}
		b.WriteByte('&')
	}
	return b.String()
}

// The cost of requests for each of their bytes. docs/attacks.md has the worst. The gateway has no user. The process
// carrier costs nothing itself; over NATS the figures include nats-server.
func BenchmarkCost(b *testing.B) {
	for _, carrier := range []string{"process", "bus"} {
		for about, c := range costlyRequests() {
			b.Run(carrier+"/"+about, func(b *testing.B) {
				s := natstest.Start(b)
				p := publish.New(publish.Config{MaxEmitBytes: 64 << 20, MaxEmits: 1024}, natstest.Connect(b, s), prometheus.NewRegistry())
				if err := p.Start(); err != nil {
					b.Fatal(err)
				}
				b.Cleanup(p.Close)
				if carrier == "process" {
					p.UseGateway(func() bool { return true }, func(_ context.Context, _ time.Duration, _ wire.Message, subjects []string, _ bool) []int {
						return make([]int, len(subjects))
					})
				}
				routes := router.New()
				New(Config{MaxBody: 1<<20 + 100_000}, p, slog.New(slog.DiscardHandler), prometheus.NewRegistry()).Mount(routes)
				b.ReportAllocs()
				for b.Loop() {
					routes.ServeHTTP(idle{http.Header{}}, c.request())
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*c.size()), "ns/byte")
			})
		}
	}
}
