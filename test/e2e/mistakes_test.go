package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/siotest"
)

// Of mistakes of one kind the log has one line a minute, which says what to do, and no id.
func TestMistakesAreLoggedOnce(t *testing.T) {
	server := start(t, "embedded")
	get := func(query string) { siotest.Get(t, server.URL+"/emit?"+query) }
	for i := range 100 {
		get(fmt.Sprintf("userid=hush%d&message=e", i))
	}
	get("id=hush&event=e")
	line := func(kind string) string {
		return "msg=\"a request for /emit or /stat/all has a mistake: " + kind + "\""
	}
	natstest.Await(t, "both kinds", func() bool {
		return strings.Contains(server.Log(), line("no id")) && strings.Contains(server.Log(), line("no message"))
	})
	if log := server.Log(); strings.Count(log, line("no id")) != 1 || !strings.Contains(log, "did you mean id instead of userid?") || strings.Contains(log, "hush") {
		t.Error(log)
	}
	if metrics := siotest.MustGet(t, server.Admin+"/metrics"); !strings.Contains(metrics, "\ndoit_ingest_mistakes_total{kind=\"no id\"} 100\n") {
		t.Error("not all are counted")
	}
}

// Without --open nobody emits through a proxy or from another site's page, at any listener; with it everybody does. The
// log names the flags. This server's own page and listed sites may emit.
func TestWhoMayEmit(t *testing.T) {
	bus := natstest.Start(t)
	for name, args := range map[string][]string{
		"embedded": {"--origins", "https://shop.example,*"}, "ingest": {"--nats-url", bus.ClientURL()},
	} {
		for _, open := range []bool{false, true} {
			if open {
				args = append(args, "--open")
			}
			server := start(t, name, args...)
			ask := func(path string, headers ...string) string {
				t.Helper()
				r, err := http.NewRequest(http.MethodPost, server.URL+path, nil)
				if path == "/stat/all" {
					r.Method = http.MethodGet
				}
				if err != nil {
					t.Fatal(err)
				}
				for i := 0; i < len(headers); i += 2 {
					r.Header.Set(headers[i], headers[i+1])
				}
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				return fmt.Sprint(resp.StatusCode, " ", strings.Contains(resp.Header.Get("Doit-Error"), "--open"))
			}
			const taken, refused = "200 false", "403 true"
			stranger, listed := refused, taken
			if name == "ingest" {
				listed = refused
			}
			if open {
				stranger, listed = taken, taken
			}
			for _, path := range []string{"/emit?id=u&message=e", "/stat/all"} {
				for _, c := range []struct {
					want    string
					headers []string
				}{
					{taken, nil},
					{taken, []string{"Origin", server.URL, "Sec-Fetch-Site", "same-origin"}},
					{listed, []string{"Origin", "https://shop.example", "Sec-Fetch-Site", "cross-site"}},
					{stranger, []string{"Origin", "https://evil.example"}},
					{stranger, []string{"Sec-Fetch-Site", "cross-site"}},
					{stranger, []string{"X-Forwarded-For", "127.0.0.1"}},
					{stranger, []string{"X-Real-IP", "192.0.2.1"}},
					{stranger, []string{"Forwarded", "for=192.0.2.1"}},
				} {
					if got := ask(path, c.headers...); got != c.want {
						t.Errorf("%s, open %v, %s %v: %s, want %s", name, open, path, c.headers, got, c.want)
					}
				}
			}
			for _, kind := range []string{"forwarded", "foreign page"} {
				natstest.Await(t, kind, func() bool { return open || strings.Contains(server.Log(), "has a mistake: "+kind) })
			}
			if log := server.Log(); open != (strings.Count(log, "or set --open") == 0) || open != (strings.Count(log, "--emit-listen") == 0) {
				t.Errorf("%s, open %v: %s", name, open, log)
			}
		}
	}
}
