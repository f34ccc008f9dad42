package sio

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

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
		b.flush(nc)
		if n := b.nats.NumSubscriptions(); n != b.base {
			t.Errorf("%d NATS subscriptions are left", n-b.base)
		}
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

// A tab is a page's connection, packet by packet.
type tab struct {
	t         testing.TB
	transport siotest.Transport
	packets   chan string // closed with the connection
}

// open opens a connection and takes its open packet.
func (b *bench) open(eio int, polling ...bool) *tab {
	b.t.Helper()
	var transport siotest.Transport
	var err error
	if len(polling) > 0 {
		transport, err = siotest.Poll(b.url, eio)
	} else {
		transport, err = siotest.DialSocket(b.url, fmt.Sprintf("EIO=%d&transport=websocket", eio))
	}
	if err != nil {
		b.t.Fatalf("connect: %v", err)
	}
	p := &tab{t: b.t, transport: transport, packets: make(chan string, 1<<14)}
	go func() {
		defer close(p.packets)
		for {
			packets, err := transport.Receive()
			if err != nil {
				return
			}
			for _, packet := range packets {
				p.packets <- packet
			}
		}
	}()
	b.t.Cleanup(func() {
		transport.Close()
		for range p.packets { // until the reader has ended
		}
	})
	if open := p.next(); !strings.HasPrefix(open, "0{") {
		b.t.Fatalf("open packet %q", open)
	}
	return p
}

// join opens a connection and joins "/".
func (b *bench) join(eio int, polling ...bool) *tab {
	b.t.Helper()
	p := b.open(eio, polling...)
	if eio == 4 {
		p.send("40")
	}
	if answer := p.next(); !strings.HasPrefix(answer, "40") {
		b.t.Fatalf("joined with %q", answer)
	}
	return p
}

// next returns the next packet, "" at the end of the connection.
func (p *tab) next() string {
	p.t.Helper()
	select {
	case packet := <-p.packets:
		return packet
	case <-time.After(siotest.Patience):
		p.t.Fatal("no packet in time")
		return ""
	}
}

func (p *tab) send(packets ...string) {
	p.t.Helper()
	for _, packet := range packets {
		if err := p.transport.Send(packet); err != nil {
			p.t.Fatalf("send %.80q: %v", packet, err)
		}
	}
}

func (p *tab) want(packets ...string) {
	p.t.Helper()
	for _, want := range packets {
		if got := p.next(); got != want {
			p.t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// wantJoined takes the answer to a CONNECT of EIO 4 and returns the socket's id.
func (p *tab) wantJoined() string {
	p.t.Helper()
	var answer map[string]string
	packet := p.next()
	if err := json.Unmarshal([]byte(strings.TrimPrefix(packet, "40")), &answer); err != nil || len(answer) != 1 || answer["sid"] == "" {
		p.t.Fatalf("got %q", packet)
	}
	return answer["sid"]
}

func (p *tab) wantEnd() {
	p.t.Helper()
	if got := p.next(); got != "" {
		p.t.Fatalf("got %q, want the end", got)
	}
}

// wantAlive proves with a fence that nothing else came, and that the socket is heard.
func (p *tab) wantAlive() {
	p.t.Helper()
	p.send(`42999["unregister",{"userid":"fence"}]`)
	p.want(`43999[{"ok":true}]`)
}

// register registers and waits for the callback.
func (p *tab) register(id string) {
	p.t.Helper()
	body, err := json.Marshal([]any{"register", map[string]string{"userid": id}})
	if err != nil {
		p.t.Fatal(err)
	}
	p.send("427" + string(body))
	p.want(`437[{"ok":true}]`)
}
