package node

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/ramainen/doit-socket/internal/logging"
	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/origin"
	"github.com/ramainen/doit-socket/internal/siotest"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	goleak.VerifyTestMain(m)
}

// A bench is a gateway on a real nats-server.
type bench struct {
	*Node
	t       testing.TB
	url     string
	counted *prometheus.Registry
}

func start(t testing.TB, change ...func(*Config)) *bench {
	t.Helper()
	b := &bench{t: t, counted: prometheus.NewRegistry()}
	cfg := DefaultConfig()
	for _, f := range change {
		f(&cfg)
	}
	var err error
	if b.Node, err = New(cfg, "gw", natstest.Connect(t, natstest.Start(t)), nil, slog.New(slog.DiscardHandler), b.counted); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	router := gin.New()
	b.Mount(router, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "script") }))
	web := httptest.NewServer(router)
	b.url = web.URL
	t.Cleanup(func() {
		b.Close()
		web.Close()
	})
	return b
}

// A start that fails leaves nothing running: neither a goroutine, for which
// TestMain looks, nor anything that Close could not take.
func TestStartThatFails(t *testing.T) {
	nc := natstest.Connect(t, natstest.Start(t))
	n, err := New(DefaultConfig(), "gw", nc, nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	if err := n.Start(); err == nil {
		t.Error("it started on a connection that is closed")
	}
	n.Close()
}

// A browser that is turned away is counted, and each reason has its series from the start.
func TestRefusedIsCounted(t *testing.T) {
	b := start(t, func(c *Config) { c.MaxSockets = 1 })
	refused := func() map[string]float64 {
		families, err := b.counted.Gather()
		if err != nil {
			t.Fatal(err)
		}
		counts := make(map[string]float64)
		for _, family := range families {
			for _, metric := range family.GetMetric() {
				if family.GetName() == "doit_gateway_refused_total" {
					counts[metric.GetLabel()[0].GetValue()] = metric.GetCounter().GetValue()
				}
			}
		}
		return counts
	}
	want := map[string]float64{"origin": 0, "draining": 0, "max sockets": 0, "address sockets": 0, "address handshakes": 0}
	if got := refused(); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	page := siotest.Dial(t, b.url, siotest.Options{})
	for range 3 {
		if _, err := siotest.DialSocket(b.url, "EIO=4&transport=websocket"); err == nil {
			t.Error("let in")
		}
	}
	want["max sockets"] = 3
	if got := refused(); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	page.Register("42")
}

// The paths below /socket.io: the script, which pages of every kind may load, and
// the engine, also where the client is told to add no slash.
func TestMount(t *testing.T) {
	b := start(t)
	for _, path := range []string{"/socket.io/socket.io.js", "/socket.io/socket.io.min.js"} {
		resp, err := http.Get(b.url + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || string(body) != "script" || resp.Header.Get("Cross-Origin-Resource-Policy") != "cross-origin" {
			t.Errorf("%s: %q, %v, %v", path, body, resp.Header, err)
		}
	}
	for _, path := range []string{"/socket.io/", "/socket.io"} {
		if body := siotest.MustGet(t, b.url+path+"?EIO=4&transport=polling"); !strings.HasPrefix(body, `0{"sid":`) {
			t.Errorf("%s: %q", path, body)
		}
	}
}

// A page whose origin is refused is in the log, once a minute: with the origin,
// which it cannot use to write there what it likes, and with the flag.
func TestRefusedOriginIsLogged(t *testing.T) {
	var log siotest.Output
	b := start(t, func(c *Config) {
		c.Origins = make([]origin.Pattern, 1)
		if err := c.Origins[0].UnmarshalText([]byte("https://shop.example")); err != nil {
			t.Fatal(err)
		}
	})
	b.log = logging.New("info", &log)
	for i, sent := range []string{"https://news.example:8443", "https://evil.example\tlevel=ERROR \xff\u202e", strings.Repeat("x", 10_000), "https://shop.example"} {
		r, err := http.NewRequest(http.MethodGet, b.url+"/socket.io/?EIO=4&transport=polling", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", sent)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if want := map[bool]int{true: http.StatusOK, false: http.StatusForbidden}[i == 3]; resp.StatusCode != want {
			t.Errorf("%.40q: %d", sent, resp.StatusCode)
		}
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 1 || !strings.Contains(lines[0], "level=WARN") || !strings.Contains(lines[0], "--origins") || !strings.Contains(lines[0], "origin=https://news.example:8443") {
		t.Errorf("%q", lines)
	}
	http.DefaultClient.CloseIdleConnections()
}

// A drain takes its time for 1,000 sockets or more, as for 100,000, and for fewer their share of it.
func TestDrainTime(t *testing.T) {
	for _, c := range []struct {
		most    time.Duration
		sockets int
		want    time.Duration
	}{
		{10 * time.Second, 0, 0}, {10 * time.Second, 3, 30 * time.Millisecond}, {10 * time.Second, 999, 9990 * time.Millisecond},
		{10 * time.Second, 1000, 10 * time.Second}, {10 * time.Second, 100_000, 10 * time.Second}, {time.Hour, 10_000_000, time.Hour}, {0, 5, 0},
	} {
		if got := drainTime(c.most, c.sockets); got != c.want {
			t.Errorf("%d sockets, %v: %v, want %v", c.sockets, c.most, got, c.want)
		}
	}
}

// A handful of sockets is closed within a moment, however long a drain may take.
func TestDrainOfFew(t *testing.T) {
	b := start(t, func(c *Config) { c.Drain = 100 * time.Second })
	var pages []*siotest.Client
	for i := range 3 {
		page := siotest.Dial(t, b.url, siotest.Options{Polling: i == 0})
		page.Register("42")
		pages = append(pages, page)
	}
	began := time.Now()
	b.Drain(t.Context())
	for _, page := range pages {
		_ = page.AwaitClose()
	}
	if took := time.Since(began); took > siotest.Patience {
		t.Errorf("took %v", took)
	}
}
