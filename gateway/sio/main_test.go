package sio

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/ramainen/doit-socket/gateway/eio"
	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/siotest"
	"github.com/ramainen/doit-socket/internal/wire"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	goleak.VerifyTestMain(m)
}

// A bench is a gateway on a real nats-server, with a publisher on a connection of its own.
type bench struct {
	*gateway
	t    testing.TB
	url  string
	nats *server.Server
	bus  *nats.Conn // the gateway's
	pub  *nats.Conn
	base uint32 // NATS subscriptions without users

	counted *prometheus.Registry
}

// start starts a gateway. At the end of the test nothing of a socket may be left in it.
func start(t testing.TB, change ...func(*config)) *bench {
	t.Helper()
	b := &bench{t: t, nats: natstest.Start(t), counted: prometheus.NewRegistry()}
	nc := natstest.Connect(t, b.nats)
	b.bus = nc
	b.pub = natstest.Connect(t, b.nats)
	cfg := defaultConfig()
	for _, f := range change {
		f(&cfg)
	}
	var err error
	if b.gateway, err = newGateway(cfg, "gw", nc, slog.New(slog.DiscardHandler), b.counted); err != nil {
		t.Fatal(err)
	}
	router := gin.New()
	b.Mount(router)
	web := httptest.NewServer(router)
	b.url = web.URL
	b.emit("nobody", "e") // the publisher subscribes to answers
	b.flush(nc)
	b.base = b.nats.NumSubscriptions()
	t.Cleanup(func() {
		b.engine.Close()
		b.wantNothing()
		b.wantUsers(0)
		if n := b.closed(eio.ReasonPanicking); n != 0 {
			t.Errorf("%d connections met a fault of ours", n)
		}
		b.gateway.Close()
		web.Close()
	})
	return b
}

func (b *bench) flush(nc *nats.Conn) {
	if err := nc.Flush(); err != nil {
		b.t.Fatal(err)
	}
}

// wantNothing waits until no trace of any socket is left.
func (b *bench) wantNothing() {
	b.t.Helper()
	natstest.Await(b.t, "an empty gateway", func() bool {
		return b.engine.Sessions() == 0 && b.sockets.Load() == 0 && b.hub.Users() == 0 && b.library.server.Sockets().Sockets().Len() == 0
	})
}

// wantUsers waits until so many users have a subscription at NATS.
func (b *bench) wantUsers(want int) {
	b.t.Helper()
	natstest.Await(b.t, fmt.Sprintf("%d users", want), func() bool {
		return b.hub.Users() == want && int(b.nats.NumSubscriptions()-b.base) == want
	})
}

// emit publishes an event and returns how many sockets took it.
func (b *bench) emit(id, event string, args ...string) int {
	b.t.Helper()
	raw := make([][]byte, len(args))
	for i, arg := range args {
		raw[i] = []byte(arg)
	}
	payload, err := wire.Encode(event, raw...)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.publish(id, payload, nil)
}

func (b *bench) publish(id string, payload []byte, header nats.Header) int {
	b.t.Helper()
	subject, err := wire.Subject("", id)
	if err != nil {
		b.t.Fatal(err)
	}
	answer, err := b.pub.RequestMsg(&nats.Msg{Subject: subject, Data: payload, Header: header}, natstest.Patience)
	if errors.Is(err, nats.ErrNoResponders) {
		return 0
	}
	if err != nil {
		b.t.Fatalf("emit to %q: %v", id, err)
	}
	receipt, err := wire.ParseReceipt(answer.Data)
	if err != nil {
		b.t.Fatalf("receipt %q: %v", answer.Data, err)
	}
	return receipt.Sockets
}

// closed returns how many connections ended for the reason.
func (b *bench) closed(reason eio.Reason) int {
	b.t.Helper()
	families, err := b.counted.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if family.GetName() == "doit_gateway_closed_total" && metric.GetLabel()[0].GetValue() == string(reason) {
				return int(metric.GetCounter().GetValue())
			}
		}
	}
	return 0
}

func (b *bench) wantClosed(reason eio.Reason, want int) {
	b.t.Helper()
	natstest.Await(b.t, fmt.Sprintf("%d closed: %s", want, reason), func() bool { return b.closed(reason) == want })
}

// open opens a connection and takes its open packet.
func (b *bench) open(eio int, polling ...bool) *siotest.Tab {
	b.t.Helper()
	return siotest.Open(b.t, b.url, options(eio, polling...))
}

// join opens a connection and joins "/".
func (b *bench) join(eio int, polling ...bool) *siotest.Tab {
	b.t.Helper()
	return siotest.Join(b.t, b.url, options(eio, polling...))
}

func options(eio int, polling ...bool) siotest.Options {
	return siotest.Options{EIO: eio, Polling: len(polling) > 0, Base64: true}
}
