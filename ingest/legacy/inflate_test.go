package legacy

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/internal/budget"
	"github.com/ramainen/doit-socket/internal/router"
)

// pack compresses a body in one of the formats gzip, zlib and flate.
func pack(t testing.TB, format, body string) string {
	t.Helper()
	var packed bytes.Buffer
	var w io.WriteCloser
	switch format {
	case "gzip":
		w = gzip.NewWriter(&packed)
	case "zlib":
		w = zlib.NewWriter(&packed)
	case "flate":
		w, _ = flate.NewWriter(&packed, flate.BestCompression)
	default:
		t.Fatal(format)
	}
	if _, err := io.WriteString(w, body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.String()
}

var encodings = map[string]string{"gzip": "gzip", "zlib": "deflate", "flate": "deflate"}

// Compressed bodies of every type are read as others are.
func TestCompressedBodies(t *testing.T) {
	b := newBench(t)
	heard := b.listen("u")
	const form, object = `id=u&message=e&data="form"`, `{"id":"u","message":"e","data":"object"}`
	for _, c := range []struct{ about, encoding, contentType, body, answer, heard string }{
		{"gzip", "gzip", formType, pack(t, "gzip", form), "200 OK", `user.u ["e","form"]`},
		{"gzip, twice in a row", "gzip", formType, pack(t, "gzip", form), "200 OK", `user.u ["e","form"]`},
		{"gzip of JSON", "gzip", jsonType, pack(t, "gzip", object), "200 OK", `user.u ["e","object"]`},
		{"x-gzip, in capitals", " X-GZIP", formType, pack(t, "gzip", form), "200 OK", `user.u ["e","form"]`},
		{"deflate as zlib", "deflate", formType, pack(t, "zlib", form), "200 OK", `user.u ["e","form"]`},
		{"deflate as zlib, twice in a row", "Deflate", formType, pack(t, "zlib", form), "200 OK", `user.u ["e","form"]`},
		{"deflate, bare", "deflate", formType, pack(t, "flate", form), "200 OK", `user.u ["e","form"]`},
		{"deflate, bare, twice in a row", "deflate", jsonType, pack(t, "flate", object), "200 OK", `user.u ["e","object"]`},
		{"identity", "identity", formType, form, "200 OK", `user.u ["e","form"]`},
		{"gzip and identity", "gzip, identity", formType, pack(t, "gzip", form), "200 OK", `user.u ["e","form"]`},
		{"empty", "", formType, form, "200 OK", `user.u ["e","form"]`},
		{"two members", "gzip", formType, pack(t, "gzip", form[:5]) + pack(t, "gzip", form[5:]), "200 OK", `user.u ["e","form"]`},
		{"no body", "gzip", formType, "", "200 ERROR", ""},
		{"not compressed", "gzip", formType, form, "400 ERROR", ""},
		{"not deflated", "deflate", formType, "\xff\xff" + form, "400 ERROR", ""},
		{"a part of gzip", "gzip", formType, pack(t, "gzip", form)[:30], "400 ERROR", ""},
		{"a part of zlib", "deflate", formType, pack(t, "zlib", form)[:20], "400 ERROR", ""},
		{"a part of a bare one", "deflate", formType, pack(t, "flate", form)[:20], "400 ERROR", ""},
		{"a wrong sum", "gzip", formType, pack(t, "gzip", form)[:len(pack(t, "gzip", form))-8] + "12345678", "400 ERROR", ""},
		{"after the faults", "gzip", formType, pack(t, "gzip", form), "200 OK", `user.u ["e","form"]`},
		{"after the faults, zlib", "deflate", formType, pack(t, "zlib", form), "200 OK", `user.u ["e","form"]`},
		{"twice compressed", "gzip, gzip", formType, pack(t, "gzip", pack(t, "gzip", form)), "415 ERROR", ""},
		{"br", "br", formType, form, "415 ERROR", ""},
		{"zstd", "zstd", jsonType, form, "415 ERROR", ""},
		{"as much as is allowed", "gzip", formType, pack(t, "gzip", `id=u&message=e&data="`+strings.Repeat("x", 4096-22)+`"`), "200 OK",
			`user.u ["e","` + strings.Repeat("x", 4096-22) + `"]`},
		{"one byte more", "gzip", formType, pack(t, "gzip", `id=u&message=e&data="`+strings.Repeat("x", 4096-21)+`"`), "413 ERROR", ""},
		{"a bomb", "deflate", formType, pack(t, "zlib", strings.Repeat("x", 2<<20)), "413 ERROR", ""},
	} {
		t.Run(c.about, func(t *testing.T) {
			got := b.ask("POST", "/emit", c.body, "Content-Type", c.contentType, "Content-Encoding", c.encoding)
			if got.String() != c.answer {
				t.Errorf("answered %s, want %s: %s", got, c.answer, got.header.Get("Doit-Error"))
			}
			if got := heard(); got != c.heard {
				t.Errorf("heard %s, want %s", got, c.heard)
			}
		})
	}
}

// A bomb costs no more memory than a plain body of --max-body, nor does it hold more of the budget.
func TestBombsCostNoMore(t *testing.T) {
	const maxBody, slack = 1 << 20, 150 << 10 // the bomb itself, doubled while it is read
	b := newBench(t)
	api := New(Config{MaxBody: maxBody}, b.publisher, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	routes := router.New()
	api.Mount(routes)
	post := func(encoding, body string) (status, allocated int) {
		r := httptest.NewRequest(http.MethodPost, "/emit", strings.NewReader(body))
		r.Header.Set("Content-Type", "text/plain")
		r.Header.Set("Content-Encoding", encoding)
		w := httptest.NewRecorder()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		routes.ServeHTTP(w, r)
		runtime.ReadMemStats(&after)
		return w.Code, int(after.TotalAlloc - before.TotalAlloc)
	}
	plain := strings.Repeat("x", maxBody)
	status, want := post("", plain)
	if status != 200 {
		t.Fatal(status)
	}
	for _, format := range []string{"gzip", "zlib", "flate"} {
		encoding, bomb := encodings[format], pack(t, format, strings.Repeat("x", 64<<20))
		for range cap(api.inflaters) { // each makes its tables once
			post(encoding, bomb)
		}
		status, got := post(encoding, bomb)
		t.Logf("%d bytes of %s inflate to 64 MiB: %d bytes of memory, %d for a plain body of %d bytes", len(bomb), format, got, want, maxBody)
		if status != 413 || got > want+slack {
			t.Errorf("%s: %d, %d bytes of memory; a plain body takes %d", format, status, got, want)
		}
	}

	api.Budget = budget.New(1 << 20)
	for _, format := range []string{"gzip", "zlib", "flate"} {
		encoding := encodings[format]
		if status, _ := post(encoding, pack(t, format, strings.Repeat("x", 500_000))); status != 503 {
			t.Errorf("%s, without room: %d", format, status)
		}
		if status, _ := post(encoding, pack(t, format, strings.Repeat("x", 100_000))); status != 200 {
			t.Errorf("%s, with room: %d", format, status)
		}
	}
	if api.Budget.Used() != 0 {
		t.Errorf("%d bytes still count", api.Budget.Used())
	}
}

// Clients that send a compressed body slowly do not keep others from being inflated.
func TestSlowCompressedBodies(t *testing.T) {
	b := newBench(t)
	b.gw.Holds("u", 1)
	packed := pack(t, "gzip", "id=u&message=e")
	for range runtime.GOMAXPROCS(0) + 1 {
		conn, err := net.Dial("tcp", b.http.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		fmt.Fprintf(conn, "POST /emit HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", formType, len(packed), packed[:10])
	}
	if got := b.ask("POST", "/emit", packed, "Content-Type", formType, "Content-Encoding", "gzip"); got.String() != "200 OK" {
		t.Error(got)
	}
}

// Any compressed body is answered, and what it inflates to is bounded.
func FuzzInflate(f *testing.F) {
	b := newBench(f)
	api := New(Config{MaxBody: 4096}, b.publisher, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	for _, format := range []string{"gzip", "zlib", "flate"} {
		f.Add(format == "gzip", []byte(pack(f, format, "id=u&message=e")))
		f.Add(format == "gzip", []byte(pack(f, format, strings.Repeat("x", 5000))))
	}
	f.Fuzz(func(t *testing.T, asGzip bool, packed []byte) {
		encoding := "deflate"
		if asGzip {
			encoding = "gzip"
		}
		var held budget.Account
		defer held.Close()
		if body, err := api.inflate(encoding, packed, &held); err == nil && len(body) > 4096 {
			t.Errorf("%d bytes", len(body))
		} else if err != nil && mistakeOf(err).status != 400 && mistakeOf(err).status != 413 {
			t.Error(err)
		}
	})
}
