package sio

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/siotest"
	"github.com/ramainen/doit-socket/internal/wire"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	goleak.VerifyTestMain(m)
}

// A bench is a gateway on a real nats-server, and a publisher.
type bench struct {
	t       testing.TB
	url     string
	gateway *Gateway
	server  *server.Server
	pub     *nats.Conn
}

func newBench(t testing.TB, change ...func(*Config)) *bench {
	cfg := DefaultConfig()
	for _, f := range change {
		f(&cfg)
	}
	s := natstest.Start(t)
	g, err := New(cfg, "gw", natstest.Connect(t, s), slog.New(slog.NewTextHandler(io.Discard, nil)), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	router := gin.New()
	g.Mount(router, http.NotFoundHandler())
	listener := httptest.NewServer(router)
	t.Cleanup(func() {
		g.Close()
		http.DefaultClient.CloseIdleConnections()
		listener.Close()
	})
	return &bench{t: t, url: listener.URL, gateway: g, server: s, pub: natstest.Connect(t, s)}
}

// emit publishes an event to an id and returns how many sockets took it.
func (b *bench) emit(id, payload string) int {
	b.t.Helper()
	subject, err := wire.Subject("", id)
	if err != nil {
		b.t.Fatal(err)
	}
	m, err := b.pub.Request(subject, []byte(payload), natstest.Patience)
	if err == nats.ErrNoResponders {
		return 0
	}
	if err != nil {
		b.t.Fatal(err)
	}
	r, err := wire.ParseReceipt(m.Data)
	if err != nil {
		b.t.Fatal(err)
	}
	return r.Sockets
}

// empty waits until nothing of any socket is left, in the gateway, the hub and the library.
func (b *bench) empty() {
	b.t.Helper()
	natstest.Await(b.t, "no sockets", func() bool {
		return b.gateway.sockets.Load() == 0 && b.gateway.hub.Users() == 0 && b.gateway.engine.Sessions() == 0 && b.gateway.io.Sockets().Sockets().Len() == 0
	})
}

// A raw is a connection that says only what the test says.
type raw struct {
	t         testing.TB
	transport siotest.Transport
	packets   chan string // closed with the connection
}

func (b *bench) raw(eio string) *raw {
	b.t.Helper()
	transport, err := siotest.DialSocket(b.url, "EIO="+eio+"&transport=websocket")
	if err != nil {
		b.t.Fatal(err)
	}
	r := &raw{t: b.t, transport: transport, packets: make(chan string, 64)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer close(r.packets)
		for {
			packets, err := transport.Receive()
			if err != nil {
				return
			}
			for _, p := range packets {
				r.packets <- p
			}
		}
	}()
	b.t.Cleanup(func() { transport.Close(); <-ended })
	if open := r.next(); open[0] != '0' {
		b.t.Fatalf("opened with %q", open)
	}
	return r
}

func (r *raw) send(packets ...string) {
	r.t.Helper()
	for _, p := range packets {
		if err := r.transport.Send(p); err != nil {
			r.t.Fatalf("send %q: %v", p, err)
		}
	}
}

// next returns the next packet, or "" when the connection has ended.
func (r *raw) next() string {
	r.t.Helper()
	select {
	case p := <-r.packets:
		return p
	case <-time.After(natstest.Patience):
		r.t.Fatal("nothing came in time")
		return ""
	}
}

func (r *raw) want(packet string) {
	r.t.Helper()
	if got := r.next(); got != packet {
		r.t.Fatalf("got %q, want %q", got, packet)
	}
}

// join joins "/" as clients of EIO 4 do.
func (r *raw) join() {
	r.t.Helper()
	r.send("40")
	if got := r.next(); len(got) < 10 || got[:9] != `40{"sid":` {
		r.t.Fatalf("got %q", got)
	}
}

// echo is an event that is answered at once, with back: a fence.
const (
	echo = `429["unregister",{"userid":"fence"}]`
	back = `439[{"ok":true}]`
)

func natsMsg(subject, op string) *nats.Msg {
	m := nats.NewMsg(subject)
	m.Header.Set(wire.HeaderOp, op)
	return m
}
