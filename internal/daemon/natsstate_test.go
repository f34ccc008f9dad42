package daemon

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ramainen/doit-socket/internal/natstest"
)

// A dialSignal dials and says so.
type dialSignal chan struct{}

func (d dialSignal) Dial(network, address string) (net.Conn, error) {
	c, err := net.Dial(network, address)
	select {
	case d <- struct{}{}:
	default:
	}
	return c, err
}

// While nats.go waits for a server that accepts and says nothing, it holds its
// lock. The private listener answers all the same, and says "not connected".
func TestPagesDoNotWaitForADial(t *testing.T) {
	proxy := natstest.StartProxy(t, natstest.Start(t))
	dials := make(dialSignal, 1)
	p := logged(&lockedBuffer{})
	nc, err := p.Connect(proxy.URL(), "gateway", func(err error) { t.Errorf("failed: %v", err) },
		nats.SetCustomDialer(dials), nats.Timeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	p.Health.Check("nats", p.Connected(nc))
	t.Cleanup(func() { Drain(nc) })
	t.Cleanup(func() { proxy.Freeze(false, false) }) // runs first
	page := func(path string) string {
		w := httptest.NewRecorder()
		p.Admin.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost"+path, nil))
		return w.Body.String()
	}
	if got := page("/metrics"); !strings.Contains(got, `doit_nats_connected{connection="gateway"} 1`) {
		t.Errorf("connected, and the metrics are %s", got)
	}

	<-dials
	proxy.Freeze(true, true)
	proxy.Cut()
	<-dials // nats.go waits for the server's first word from now on
	natstest.Await(t, "the loss to be noticed", func() bool { return p.Connected(nc)() != nil })
	waits := make(chan struct{})
	go func() {
		nc.Stats()
		close(waits)
	}()
	pages := make(chan string, 1)
	go func() { pages <- page("/metrics") + page("/readyz") + page("/") }()
	select {
	case got := <-pages:
		for _, want := range []string{`doit_nats_connected{connection="gateway"} 0`, "nats: not connected", "doit_nats_reconnects_total"} {
			if !strings.Contains(got, want) {
				t.Errorf("the pages do not say %q:\n%s", want, got)
			}
		}
	case <-time.After(natstest.Patience / 2):
		t.Error("the pages wait for the dial")
	}
	select {
	case <-waits:
		t.Error("nats.go did not hold its lock: this test shows nothing")
	default:
	}
	proxy.Freeze(false, false)
	natstest.Await(t, "the connection to be back", func() bool { return p.Connected(nc)() == nil })
	<-waits
	if got := page("/metrics"); !strings.Contains(got, `doit_nats_reconnects_total{connection="gateway"} 1`) {
		t.Errorf("back, and the metrics are %s", got)
	}
}
