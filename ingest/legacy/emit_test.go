package legacy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/ramainen/doit-socket/ingest/publish"
	"github.com/ramainen/doit-socket/internal/gatewaytest"
	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/router"
	"github.com/ramainen/doit-socket/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A bench is an API on a real nats-server, and a NATS connection that acts as the gateway.
type bench struct {
	t         testing.TB
	server    *server.Server
	gw        *gatewaytest.Gateway
	http      *httptest.Server
	publisher *publish.Publisher
}

func newBench(t testing.TB, opts ...natstest.Option) *bench {
	s := natstest.Start(t, opts...)
	nc := natstest.Connect(t, s, nats.ReconnectBufSize(-1), nats.MaxReconnects(-1))
	reg := prometheus.NewRegistry()
	p := publish.New(nc, reg)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	r := router.New()
	New(Config{MaxBody: 4096}, p, slog.New(slog.DiscardHandler), reg).Mount(r)
	b := &bench{t: t, server: s, gw: gatewaytest.Start(t, s), http: httptest.NewServer(r), publisher: p}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		b.http.Close()
	})
	return b
}

func (b *bench) do(method, query, body string) (int, string) {
	b.t.Helper()
	r, err := http.NewRequest(method, b.http.URL+query, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
	}
	return b.send(r)
}

func (b *bench) send(r *http.Request) (int, string) {
	b.t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}

func TestAnswers(t *testing.T) {
	b := newBench(t)
	b.gw.Holds("u", 1)
	for _, c := range []struct {
		name, method, query, body string
		status                    int
		answer                    string
	}{
		{"reached", "POST", "/emit", "id=u&message=e&data=1", 200, "OK"},
		{"slash", "POST", "/emit/", "id=u&message=e&data=1", 200, "OK"},
		{"nobody", "POST", "/emit", "id=n&message=e&data=1", 200, "ERROR"},
		{"one of two", "POST", "/emit", "id[]=n&id[]=u&message=e", 200, "OK"},
		{"an empty one of two", "POST", "/emit", "id[]=&id[]=u&message=e", 200, "OK"},
		{"empty list", "POST", "/emit", "id[]=&message=e", 200, "ERROR"},
		{"long id", "POST", "/emit", "id=" + strings.Repeat("x", 257) + "&message=e", 400, "ERROR"},
		{"not JSON", "POST", "/emit", "id=u&message=e&data={", 400, "ERROR"},
		{"old code page", "POST", "/emit", "id=u&message=e&data=\"%CF%F0%E8\"", 200, "OK"}, // qs keeps the escapes: ASCII
		{"two JSON texts", "POST", "/emit", "id=u&message=e&data=1 2", 400, "ERROR"},
		{"reserved", "POST", "/emit", "id=u&message=connect&data=1", 200, "ERROR"},
		{"no form", "POST", "/emit?id=u", "", 200, "ERROR"},
		{"too large", "POST", "/emit", "id=u&message=e&data=" + strings.Repeat("1", 4096), 413, "ERROR"},
		{"GET", "GET", "/emit?id=u&message=e&a=1", "", 200, "OK"},
		{"GET nobody", "GET", "/emit?id=n&message=e", "", 200, "OK"},
		{"GET reserved", "GET", "/emit?id=u&message=disconnect", "", 200, "ERROR"},
		{"GET empty id", "GET", "/emit?id=&message=e", "", 200, "ERROR"},
		{"GET long id", "GET", "/emit?id=" + strings.Repeat("x", 257) + "&message=e", "", 400, "ERROR"},
		{"PUT", "PUT", "/emit?id=u&message=e", "", 405, "ERROR"},
		{"DELETE", "DELETE", "/emit?id=u&message=e", "", 405, "ERROR"},
		{"HEAD", "HEAD", "/emit?id=u&message=e", "", 405, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if status, answer := b.do(c.method, c.query, c.body); status != c.status || answer != c.answer {
				t.Errorf("%d %q, want %d %q", status, answer, c.status, c.answer)
			}
		})
	}
}

func TestAListWithOneInvalidIDSendsNothing(t *testing.T) {
	b := newBench(t)
	b.gw.Holds("u", 1)
	if status, _ := b.do("POST", "/emit", "id[]=u&id[]="+strings.Repeat("x", 257)+"&message=e"); status != 400 {
		t.Errorf("status %d", status)
	}
	b.do("POST", "/emit", "id=u&message=fence")
	if m := <-b.gw.Heard; string(m.Data) != `["fence",{}]` {
		t.Errorf("heard %s", m.Data)
	}
}

func TestReceivers(t *testing.T) {
	b := newBench(t)
	b.gw.Holds("u", 1)
	body := func(n int) string { return strings.Repeat("id[]=u&", n) + "message=e" }
	big := newBench(t)
	big.gw.Holds("u", 1)
	if status, _ := b.do("POST", "/emit?"+body(wire.MaxReceivers), ""); status != 200 {
		t.Errorf("%d receivers: %d", wire.MaxReceivers, status)
	}
	for i := range wire.MaxReceivers {
		select {
		case <-b.gw.Heard:
		case <-time.After(natstest.Patience):
			t.Fatalf("heard %d", i)
		}
	}
	if status, answer := b.do("POST", "/emit?"+body(wire.MaxReceivers+1), ""); status != 400 || answer != "ERROR" {
		t.Errorf("one more: %d %s", status, answer)
	}
}

// The JSON that PHP sends arrives byte for byte.
func TestDataIsUntouched(t *testing.T) {
	b := newBench(t)
	b.gw.Holds("u", 1)
	for _, data := range []string{`{"b":1.0,"a":1e2,"a":2}`, ` [ 1 , "\/\u0412<b>" ] `, "\"\u2028\"", `"😀"`, `-0`, `12345678901234567890`} {
		if _, answer := b.do("POST", "/emit", url.Values{"id": {"u"}, "message": {"e"}, "data": {data}}.Encode()); answer != "OK" {
			t.Errorf("%s: %s", data, answer)
			continue
		}
		if m := <-b.gw.Heard; string(m.Data) != `["e",`+data+`]` {
			t.Errorf("%s became %s", data, m.Data)
		}
	}
}

func TestBodySize(t *testing.T) {
	b := newBench(t)
	b.gw.Holds("u", 1)
	head := "id=u&message=e&data="
	for size, want := range map[int]int{4096: 200, 4097: 413} {
		body := head + `"` + strings.Repeat("x", size-len(head)-2) + `"`
		if status, _ := b.do("POST", "/emit", body); status != want {
			t.Errorf("%d bytes: %d", size, status)
		}
		r, _ := http.NewRequest("POST", b.http.URL+"/emit", io.MultiReader(strings.NewReader(body))) // chunked
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if status, _ := b.send(r); status != want {
			t.Errorf("%d bytes, chunked: %d", size, status)
		}
	}
}

func TestMoreThanTheBusTakes(t *testing.T) {
	b := newBench(t, natstest.MaxPayload(1024))
	b.gw.Holds("u", 1)
	if status, answer := b.do("POST", "/emit", `id=u&message=e&data="`+strings.Repeat("x", 2000)+`"`); status != 413 || answer != "ERROR" {
		t.Errorf("%d %s", status, answer)
	}
}

// "No responders" is answered at once. A receipt of zero sockets does not end the wait, because another gateway may
// hold the user.
func TestReceiptsAreTrue(t *testing.T) {
	b := newBench(t)
	timed := func(id string) (string, time.Duration) {
		start := time.Now()
		status, answer := b.do("POST", "/emit", "id="+id+"&message=e")
		return fmt.Sprint(status, " ", answer), time.Since(start)
	}
	b.gw.Holds("zero", 0)
	b.gw.Holds("silent", -1)
	b.gw.Holds("both", 0)
	b.gw.On("user.both", func(m *nats.Msg) {
		time.AfterFunc(publish.Bound/5, func() { _ = m.Respond([]byte("1 other")) })
	})
	b.gw.On("user.liar", func(m *nats.Msg) { _ = m.Respond([]byte("OK")) })
	for id, want := range map[string]string{"nobody": "200 ERROR", "zero": "200 ERROR", "both": "200 OK", "silent": "503 ERROR", "liar": "503 ERROR"} {
		got, took := timed(id)
		if got != want {
			t.Errorf("%s: %s, want %s", id, got, want)
		}
		if waits := id == "zero" || id == "silent" || id == "liar"; waits && took < publish.Bound {
			t.Errorf("%s was answered after %v", id, took)
		}
	}
}

func TestTheBusIsAway(t *testing.T) {
	b := newBench(t)
	natstest.Stop(b.server)
	for method, query := range map[string]string{"POST": "/emit", "GET": "/emit?id=u&message=e"} {
		if status, answer := b.do(method, query, "id=u&message=e"); status != 503 || answer != "ERROR" {
			t.Errorf("%s: %d %s", method, status, answer)
		}
	}
	if status, _ := b.do("GET", "/stat/all", ""); status != 503 {
		t.Errorf("/stat/all: %d", status)
	}
}

// All receivers get the event even if PHP closes the connection right after its request.
func TestARequestThatHangsUp(t *testing.T) {
	b := newBench(t)
	served := 0
	b.publisher.UseGateway(func() bool { return true }, func(ctx context.Context, _ wire.Message, subjects []string, _ time.Duration, _ bool) []int {
		if ctx.Err() == nil {
			served += len(subjects)
		}
		return slices.Repeat([]int{1}, len(subjects))
	})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	b.http.Config.Handler.ServeHTTP(w, httptest.NewRequest("POST", "/emit?id[]=u&id[]=v&message=e", nil).WithContext(ended))
	if w.Code != 200 || w.Body.String() != "OK" || served != 2 {
		t.Errorf("%d %s, %d served", w.Code, w.Body, served)
	}
}

// Each of many concurrent emits gets its own answer.
func TestConcurrentEmits(t *testing.T) {
	b := newBench(t)
	b.publisher.Bound = natstest.Patience // no timeout: the test is about matching answers to emits
	b.gw.On("user.odd", func(m *nats.Msg) { _ = m.Respond([]byte("1 gw")) })
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			for range 50 {
				id, want := "even", "ERROR"
				if i%2 == 1 {
					id, want = "odd", "OK"
				}
				if _, answer := b.do("POST", "/emit", "id="+id+"&message=e"); answer != want {
					t.Errorf("%s: %s", id, answer)
					return
				}
			}
		})
	}
	all.Wait()
}

func TestStat(t *testing.T) {
	b := newBench(t)
	if _, answer := b.do("GET", "/stat/all", ""); answer != "0" {
		t.Errorf("without gateways: %s", answer)
	}
	for _, stat := range []wire.Stat{{Sockets: 3, Users: 2, Node: "a"}, {Sockets: 10, Users: 5, Node: "b"}} {
		b.gw.On(wire.SubjectStat, func(m *nats.Msg) { _ = m.Respond(stat.Append(nil)) })
	}
	if _, answer := b.do("GET", "/stat/all", ""); answer != "20" {
		t.Errorf("two gateways: %s", answer)
	}
}

// The answer to any request is OK or ERROR.
func FuzzEmitRequest(f *testing.F) {
	b := newBench(f)
	f.Add("id=u&message=e&data=1", "", true)
	f.Add("", "id=u&message=e&a=1", false)
	f.Add("id[a][b]=%FF&message=\xff&data=\"\xff\"", "%", true)
	f.Fuzz(func(t *testing.T, body, query string, post bool) {
		method := http.MethodGet
		if post {
			method = http.MethodPost
		}
		r := httptest.NewRequest(method, "/emit", bytes.NewReader([]byte(body)))
		r.URL.RawQuery = query
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		b.http.Config.Handler.ServeHTTP(w, r)
		if answer := w.Body.String(); !slices.Contains([]string{"OK", "ERROR"}, answer) {
			t.Fatalf("%q", answer)
		}
	})
}
