package legacy

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
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
	return newLimitedBench(t, publish.Config{}, opts...)
}

func newLimitedBench(t testing.TB, limits publish.Config, opts ...natstest.Option) *bench {
	s := natstest.Start(t, opts...)
	nc := natstest.Connect(t, s, nats.ReconnectBufSize(-1), nats.MaxReconnects(-1))
	reg := prometheus.NewRegistry()
	p := publish.New(limits, nc, reg)
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
	for i := range wire.MaxReceivers/wire.MaxRepeats + 1 {
		b.gw.Holds(fmt.Sprint("u", i), 1)
	}
	body := func(n int) string {
		var ids strings.Builder
		for i := range n {
			fmt.Fprintf(&ids, "id[]=u%d&", i/wire.MaxRepeats)
		}
		return ids.String() + "message=e"
	}
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
	if status, answer := b.do("POST", "/emit", strings.Repeat("id=u0&", wire.MaxRepeats+1)+"message=e"); status != 400 || answer != "ERROR" {
		t.Errorf("one too often: %d %s", status, answer)
	}
}

// An emit beyond --max-emit-bytes is answered 413. One beyond --max-emits is answered 503 at once, and tells when to try
// again.
func TestLimits(t *testing.T) {
	b := newLimitedBench(t, publish.Config{MaxEmitBytes: 100, MaxEmits: 2})
	b.gw.Holds("u", 1)
	for body, want := range map[string]int{"id[]=u&id[]=u": 200, "id[]=u&id[]=u&id[]=u": 413} {
		status, answer := b.do("POST", "/emit", body+`&message=e&data="`+strings.Repeat("x", 50-len(`["e",""]`))+`"`)
		if status != want || status == 413 && answer != "ERROR" {
			t.Errorf("%s: %d %s", body, status, answer)
		}
	}
	b.publisher.Bound = natstest.Patience
	b.gw.Holds("silent", -1)
	for len(b.gw.Heard) > 0 {
		<-b.gw.Heard
	}
	waits := make(chan string)
	waiting, cancel := context.WithCancel(t.Context())
	go func() {
		_, err := b.publisher.Publish(waiting, publish.Emit{To: []string{"silent"}, Event: "e", From: netip.MustParseAddr("127.0.0.1")}, publish.FirstReceipt)
		waits <- fmt.Sprint(err)
	}()
	<-b.gw.Heard
	began := time.Now()
	r, err := http.DefaultClient.Get(b.http.URL + "/emit?id=u&message=e")
	if err != nil {
		t.Fatal(err)
	}
	if body, again := text(t, r), r.Header.Get("Retry-After"); r.StatusCode != 503 || body != "ERROR" || again != "1" || time.Since(began) > time.Second {
		t.Errorf("%d %s, Retry-After %q, after %v", r.StatusCode, body, again, time.Since(began))
	}
	_ = r.Body.Close()
	cancel()
	<-waits
	if status, answer := b.do("GET", "/emit?id=u&message=e", ""); status != 200 || answer != "OK" {
		t.Errorf("afterwards: %d %s", status, answer)
	}
}

// The address of an emit is that of its connection. Neighbours of one IPv6 network are one address.
func TestPeer(t *testing.T) {
	for from, want := range map[string]string{
		"192.0.2.1:80":              "192.0.2.1",
		"[::ffff:192.0.2.1]:80":     "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:80": "2001:db8:1:2::",
		"[fe80::1%eth0]:80":         "fe80::",
		"@":                         "invalid IP",
	} {
		if got := peer(&http.Request{RemoteAddr: from}).String(); got != want {
			t.Errorf("%s: %s, want %s", from, got, want)
		}
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
	hangUp := func(b *bench) {
		t.Helper()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		w := httptest.NewRecorder()
		b.http.Config.Handler.ServeHTTP(w, httptest.NewRequest("POST", "/emit?id[]=u&id[]=v&message=e", nil).WithContext(ended))
		if w.Code != 200 || w.Body.String() != "OK" {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	overNATS := newBench(t)
	overNATS.gw.Holds("u", 1)
	overNATS.gw.Holds("v", 1)
	hangUp(overNATS)
	for range 2 {
		select {
		case <-overNATS.gw.Heard:
		case <-time.After(natstest.Patience):
			t.Fatal("not heard")
		}
	}
	within := newBench(t)
	served := 0
	within.publisher.UseGateway(func() bool { return true }, func(ctx context.Context, _ time.Duration, _ wire.Message, subjects []string, _ bool) []int {
		if ctx.Err() == nil {
			served += len(subjects)
		}
		return slices.Repeat([]int{1}, len(subjects))
	})
	if hangUp(within); served != 2 {
		t.Errorf("%d served", served)
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
	if _, answer := newBench(t).do("GET", "/stat/all", ""); answer != "0" {
		t.Errorf("without gateways: %s", answer)
	}
	for _, stat := range []wire.Stat{{Sockets: 3, Users: 2, Node: "a"}, {Sockets: 10, Users: 5, Node: "b"}} {
		b.gw.On(wire.SubjectStat, func(m *nats.Msg) { _ = m.Respond(stat.Append(nil)) })
	}
	if _, answer := b.do("GET", "/stat/all", ""); answer != "20" {
		t.Errorf("two gateways: %s", answer)
	}
}
