package sio

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/gobwas/ws"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/gateway/eio"
	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/siotest"
)

// A fleet is several gateways, and a balancer that gives each request to the next of them.
type fleet struct {
	t     testing.TB
	url   string // of the balancer
	nodes []*bench
}

// startFleet starts n gateways, spread over the servers.
func startFleet(t testing.TB, servers []*server.Server, n int, change ...func(*config)) *fleet {
	t.Helper()
	f := &fleet{t: t}
	cfg := defaultConfig()
	cfg.MaxFrames = 0 // tests send as fast as they can
	for _, c := range change {
		c(&cfg)
	}
	var targets []*url.URL
	for i := range n {
		s := servers[i%len(servers)]
		b := &bench{t: t, nats: s, counted: prometheus.NewRegistry(), bus: natstest.Connect(t, s), pub: natstest.Connect(t, s)}
		var err error
		if b.gateway, err = newGateway(cfg, "gw-"+strconv.Itoa(i), b.bus, slog.New(slog.DiscardHandler), b.counted); err != nil {
			t.Fatal(err)
		}
		b.flush(b.bus)
		router := gin.New()
		b.Mount(router)
		web := httptest.NewServer(router)
		b.url = web.URL
		target, err := url.Parse(web.URL)
		if err != nil {
			t.Fatal(err)
		}
		targets = append(targets, target)
		f.nodes = append(f.nodes, b)
		t.Cleanup(func() {
			b.gateway.Close()
			web.Close()
			b.wantNothing()
			if n := b.closed(eio.ReasonPanicking); n != 0 {
				t.Errorf("%d connections met a fault of ours", n)
			}
		})
	}
	transport := &http.Transport{DisableCompression: true}
	var turn atomic.Uint64
	balancer := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(targets[turn.Add(1)%uint64(n)]) },
		Transport: transport,
		ErrorLog:  slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	})
	f.url = balancer.URL
	t.Cleanup(func() {
		balancer.CloseClientConnections()
		balancer.Close()
		transport.CloseIdleConnections()
	})
	return f
}

// counter returns the sum of a metric over the label values that are given.
func (b *bench) counter(name string, values ...string) (sum int) {
	b.t.Helper()
	families, err := b.counted.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
	metrics:
		for _, metric := range family.GetMetric() {
			for _, value := range values {
				found := false
				for _, label := range metric.GetLabel() {
					found = found || label.GetValue() == value
				}
				if !found {
					continue metrics
				}
			}
			sum += int(metric.GetCounter().GetValue() + metric.GetGauge().GetValue())
		}
	}
	return sum
}

// wantPassed checks that requests of the kind were passed on, and none in vain.
func (f *fleet) wantPassed(kinds ...string) {
	f.t.Helper()
	for _, kind := range kinds {
		passed := 0
		for _, b := range f.nodes {
			passed += b.counter("doit_gateway_passed_total", kind, "passed")
		}
		if passed == 0 {
			f.t.Errorf("no %s was passed on", kind)
		}
	}
}

// A guest is a page's Engine.IO session, request by request.
type guest struct {
	t     testing.TB
	http  *http.Client
	eio   int
	sid   string
	first []string // the packets behind the open packet
}

// visit opens a session on polling at base.
func visit(t testing.TB, base string, revision int) *guest {
	t.Helper()
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	v := &guest{t: t, eio: revision, http: &http.Client{Transport: transport}}
	_, packets := v.poll(base)
	if len(packets) == 0 || !strings.HasPrefix(packets[0], "0{") {
		t.Fatalf("handshake: %q", packets)
	}
	var open struct{ SID string }
	if err := json.Unmarshal([]byte(packets[0][1:]), &open); err != nil {
		t.Fatal(err)
	}
	v.sid, v.first = open.SID, packets[1:]
	return v
}

// join joins "/" and registers, all at base.
func (v *guest) join(base, id string) *guest {
	v.t.Helper()
	if v.eio == 4 {
		v.post(base, "40")
	}
	v.post(base, `427["register",{"userid":"`+id+`"}]`)
	for got := strings.Join(v.first, "\n"); !strings.Contains(got, `437[{"ok":true}]`); {
		_, packets := v.poll(base)
		got += strings.Join(packets, "\n")
	}
	return v
}

func (v *guest) query() string {
	q := fmt.Sprintf("EIO=%d", v.eio)
	if v.eio < 4 {
		q += "&b64=1"
	}
	if v.sid != "" {
		q += "&sid=" + v.sid
	}
	return q
}

// do returns status and body; 0 is an error.
func (v *guest) do(method, base, body string) (int, string) {
	r, err := http.NewRequest(method, base+"/socket.io/?transport=polling&"+v.query(), strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	resp, err := v.http.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(text)
}

func (v *guest) poll(base string) (status int, packets []string) {
	status, body := v.do(http.MethodGet, base, "")
	if status != http.StatusOK {
		return status, []string{body}
	}
	packets, ok := siotest.Packets(v.eio, true, []byte(body))
	if !ok {
		v.t.Errorf("payload %q", body)
	}
	return status, packets
}

func (v *guest) post(base, packet string) {
	v.t.Helper()
	if status, body := v.do(http.MethodPost, base, siotest.Payload(v.eio, packet)); status != http.StatusOK || body != "ok" {
		v.t.Fatalf("POST: %d %q", status, body)
	}
}

// upgrade moves the session to a websocket at base, as the clients do. What
// comes by polling meanwhile goes to got.
func (v *guest) upgrade(base string, got func(packet string)) *siotest.Conn {
	v.t.Helper()
	socket, err := siotest.DialSocket(base, "transport=websocket&"+v.query())
	if err != nil {
		v.t.Fatalf("upgrade: %v", err)
	}
	v.t.Cleanup(socket.Close)
	if err := socket.Send("2probe"); err != nil {
		v.t.Fatal(err)
	}
	// As a browser, it polls on until it has the answer, and then ends its poll.
	probed := make(chan error, 1)
	go func() {
		packet, err := one(socket)
		if err == nil && packet != "3probe" {
			err = fmt.Errorf("%q", packet)
		}
		probed <- err
	}()
	for done := false; !done; {
		select {
		case err := <-probed:
			if err != nil {
				v.t.Fatalf("probe: %v", err)
			}
			done = true
		default:
			status, packets := v.poll(base)
			if status != http.StatusOK {
				v.t.Fatalf("poll: %d %q", status, packets)
			}
			for _, p := range packets {
				if p != "6" {
					got(p)
				}
			}
		}
	}
	if err := socket.Send("5"); err != nil {
		v.t.Fatal(err)
	}
	return socket
}

// numbers checks that events come as 0, 1, 2 ...
type numbers struct {
	t    testing.TB
	next int
}

func (n *numbers) take(packet string) {
	if want := fmt.Sprintf(`42["n",%d]`, n.next); packet != want {
		n.t.Fatalf("got %.100q, want %q", packet, want)
	}
	n.next++
}

// buses are what fleets run on.
var buses = map[string]func(testing.TB) []*server.Server{
	"one server":     func(t testing.TB) []*server.Server { return []*server.Server{natstest.Start(t)} },
	"a cluster of 3": func(t testing.TB) []*server.Server { return natstest.Cluster(t, 3) },
}

// A page on polling gets every event in order, whichever nodes its requests reach.
func TestPollingThroughBalancer(t *testing.T) {
	for name, bus := range buses {
		t.Run(name, func(t *testing.T) {
			f := startFleet(t, bus(t), 3)
			for _, revision := range []int{2, 3, 4} {
				page := siotest.Dial(t, f.url, siotest.Options{EIO: revision, Polling: true})
				id := "user-" + strconv.Itoa(revision)
				page.Register(id)
				for i := range 1000 {
					if n := f.nodes[i%3].emit(id, "n", strconv.Itoa(i)); n != 1 {
						t.Fatalf("event %d: %d sockets took it", i, n)
					}
				}
				for i := range 1000 {
					if e := page.Next(); e.Name != "n" || len(e.Args) != 1 || e.Args[0] != float64(i) {
						t.Fatalf("EIO %d: got %v, want %d", revision, e, i)
					}
				}
				page.Close()
			}
			f.wantPassed("poll", "post")
		})
	}
}

// An upgrade through other nodes than the session's loses, doubles and reorders nothing.
func TestUpgradeThroughBalancer(t *testing.T) {
	for name, bus := range buses {
		t.Run(name, func(t *testing.T) {
			f := startFleet(t, bus(t), 3)
			for _, revision := range []int{2, 3, 4} {
				for range 3 { // wherever it begins
					v := visit(t, f.url, revision).join(f.url, "42")
					const events = 1000
					sent := make(chan error, 1)
					go func() {
						for i := range events {
							msg := &nats.Msg{Subject: "user.42", Data: fmt.Appendf(nil, `["n",%d]`, i)}
							if _, err := f.nodes[0].pub.RequestMsg(msg, natstest.Patience); err != nil {
								sent <- err
								return
							}
						}
						sent <- nil
					}()
					heard := &numbers{t: t}
					socket := v.upgrade(f.url, heard.take)
					for heard.next < events {
						packet, err := one(socket)
						if err != nil {
							t.Fatalf("after %d: %v", heard.next, err)
						}
						heard.take(packet)
					}
					if err := <-sent; err != nil {
						t.Fatal(err)
					}
					// And what the page says arrives.
					if err := socket.Send(`428["unregister",{"userid":"42"}]`); err != nil {
						t.Fatal(err)
					}
					if packet, err := one(socket); err != nil || packet != `438[{"ok":true}]` {
						t.Fatalf("%q, %v", packet, err)
					}
					socket.Close()
				}
			}
			f.wantPassed("poll", "post", "websocket")
			natstest.Await(t, "the pipes to end", func() bool {
				n := 0
				for _, b := range f.nodes {
					n += b.counter("doit_gateway_pipes")
				}
				return n == 0
			})
		})
	}
}

// wantUnknown checks that the answer is that for an unknown session.
func (v *guest) wantUnknown(base string) {
	v.t.Helper()
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		if status, body := v.do(method, base, ""); status != http.StatusBadRequest || !strings.Contains(body, `{"code":1,"message":"Session ID unknown"}`) {
			v.t.Errorf("%s: %d %q", method, status, body)
		}
	}
}

// passes waits until the node has begun to pass on so many requests.
func (b *bench) passes(streams int) {
	b.t.Helper()
	natstest.Await(b.t, fmt.Sprintf("%d streams", streams), func() bool { return b.relay.Streams() == streams })
}

// When the node of a session dies, its pages know at the next request, and those that wait or have a websocket soon.
func TestOwnerDies(t *testing.T) {
	f := startFleet(t, natstest.Cluster(t, 2), 2)
	owner, other := f.nodes[0], f.nodes[1]
	waiting := visit(t, owner.url, 4).join(owner.url, "1")
	upgraded := visit(t, owner.url, 4).join(owner.url, "2")
	socket := upgraded.upgrade(other.url, func(string) {})
	other.passes(1)
	answered := make(chan int, 1)
	go func() {
		status, _ := waiting.do(http.MethodGet, other.url, "")
		answered <- status
	}()
	other.passes(2)

	owner.bus.Close() // as if the process had been killed: it tells no other node
	natstest.Await(t, "NATS to tell the other server", func() bool {
		return !other.nats.GlobalAccount().SubscriptionInterest("doit.node." + owner.relay.Name)
	})
	waiting.wantUnknown(other.url) // a new request is answered at once; those already passed on end after 5 s of silence
	if status := <-answered; status != http.StatusBadGateway {
		t.Errorf("a poll that waited was answered %d", status)
	}
	if packet, err := one(socket); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the websocket got %q, %v", packet, err)
	}
	other.passes(0)
}

// When a node dies that passes requests on, the sessions of its pages end on their own nodes.
func TestPassingNodeDies(t *testing.T) {
	f := startFleet(t, natstest.Cluster(t, 2), 2)
	owner, other := f.nodes[0], f.nodes[1]
	waiting := visit(t, owner.url, 4).join(owner.url, "1")
	upgraded := visit(t, owner.url, 4).join(owner.url, "2")
	upgraded.upgrade(other.url, func(string) {})
	other.passes(1)
	go waiting.do(http.MethodGet, other.url, "")
	other.passes(2)
	waiting.post(other.url, `42["fence"]`) // the GET has been passed on when this has its answer

	other.bus.Close()
	owner.wantNothing()
	owner.wantClosed(eio.ReasonNetwork, 2)
	owner.passes(0)
}

// The session of a page that goes away ends at once, also if it came through another node.
func TestPageLeaves(t *testing.T) {
	f := startFleet(t, natstest.Cluster(t, 2), 2)
	owner, other := f.nodes[0], f.nodes[1]
	waiting := visit(t, owner.url, 4).join(owner.url, "1")
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, other.url+"/socket.io/?transport=polling&"+waiting.query(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if resp, err := waiting.http.Do(r); err == nil {
			_ = resp.Body.Close()
		}
	}()
	other.passes(1)
	cancel()
	<-ended
	owner.wantClosed(eio.ReasonNetwork, 1)

	upgraded := visit(t, owner.url, 4).join(owner.url, "2")
	upgraded.upgrade(other.url, func(string) {}).Close()
	owner.wantClosed(eio.ReasonClient, 1)
	other.passes(0)
}

// A browser behind another node that does not read is closed as slow, and takes no memory for it.
func TestSlowThroughPipe(t *testing.T) {
	f := startFleet(t, natstest.Cluster(t, 2), 2, func(c *config) { c.WriteTimeout = 10 * time.Second })
	owner, other := f.nodes[0], f.nodes[1]
	v := visit(t, owner.url, 4).join(owner.url, "42")
	socket := v.upgrade(other.url, func(string) {})
	defer socket.Close()
	said := make(chan *nats.Msg, 1<<14)
	if _, err := owner.pub.ChanSubscribe("doit.node."+other.relay.Name, said); err != nil {
		t.Fatal(err)
	}
	data := strconv.Quote(strings.Repeat("x", 100<<10))
	took := 0
	natstest.Await(t, "the browser to be closed", func() bool {
		if owner.emit("42", "n", data) == 0 {
			return true
		}
		took++
		return false
	})
	owner.wantClosed(eio.ReasonSlow, 1)
	for m := range said { // what is on its way to the browser is not waited for
		if kind := m.Data[0]; kind == 'b' {
			break
		} else if kind == 'e' {
			t.Fatal("the stream was closed in order")
		}
	}
	// The queue of 2 MiB, the window, and what the kernels buffer on the way.
	if most := (32 << 20) / len(data); took > most {
		t.Errorf("%d events were taken, want at most %d", took, most)
	}
	owner.passes(0)
	other.passes(0)
	natstest.Await(t, "the browser's connection to be given up", func() bool { return other.relay.Pipes() == 0 })
}

// A receipt is sent after its event, also if the event goes to the browser
// through another node: a gateway that dies in between has not sent OK.
func TestReceiptFollowsPipe(t *testing.T) {
	f := startFleet(t, []*server.Server{natstest.Start(t)}, 2)
	owner, other := f.nodes[0], f.nodes[1]
	v := visit(t, owner.url, 4).join(owner.url, "42")
	socket := v.upgrade(other.url, func(string) {})
	if err := socket.Send(`428["unregister",{"userid":"another"}]`); err != nil {
		t.Fatal(err)
	}
	if packet, err := one(socket); err != nil || packet != `438[{"ok":true}]` {
		t.Fatalf("%q, %v", packet, err)
	}
	said := make(chan *nats.Msg, 1<<12)
	for _, subject := range []string{"doit.node.*", "answer"} {
		if _, err := owner.pub.ChanSubscribe(subject, said); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 200 {
		event := fmt.Appendf(nil, `["n",%d]`, i)
		if err := owner.pub.PublishRequest("user.42", "answer", event); err != nil {
			t.Fatal(err)
		}
		written := false
		for m := range said {
			if m.Subject == "answer" {
				break
			}
			written = written || bytes.Contains(m.Data, event)
		}
		if !written {
			t.Fatalf("the receipt of event %d came before it", i)
		}
	}
}

// Pages at a node that drains reconnect to other nodes. Before that they get every event whose answer was OK.
func TestDrainEndsPipes(t *testing.T) {
	f := startFleet(t, natstest.Cluster(t, 2), 2, func(c *config) { c.Drain = 500 * time.Millisecond })
	owner, other := f.nodes[0], f.nodes[1]
	const pages = 5
	var all sync.WaitGroup
	for i := range pages {
		id := strconv.Itoa(i)
		socket := visit(t, owner.url, 4).join(owner.url, id).upgrade(other.url, func(string) {})
		all.Go(func() {
			oks, heard := 0, 0
			emitted := make(chan struct{})
			go func() {
				defer close(emitted)
				for owner.emit(id, "n") > 0 {
					oks++
				}
			}()
			for {
				if _, err := one(socket); err != nil {
					break
				}
				heard++
			}
			<-emitted
			if heard < oks || oks == 0 {
				t.Errorf("%d events were taken, %d heard", oks, heard)
			}
		})
	}
	other.Drain(context.Background())
	all.Wait()
	natstest.Await(t, "all sessions to be closed", func() bool { // by what is met first, a read or a write
		return owner.closed(eio.ReasonClient)+owner.closed(eio.ReasonNetwork) == pages
	})
	other.passes(0)
}

// A node that drains passes on no poll and no websocket: they would end with
// it, and with them the connection of a browser that has just come from here.
func TestNothingNewIsPassedOnInADrain(t *testing.T) {
	f := startFleet(t, natstest.Cluster(t, 2), 2, func(c *config) { c.Drain = 0 })
	owner, other := f.nodes[0], f.nodes[1]
	v := visit(t, owner.url, 4).join(owner.url, "42")
	other.Drain(context.Background())
	if status, body := v.do(http.MethodGet, other.url, ""); status != http.StatusServiceUnavailable {
		t.Errorf("a poll: %d %q", status, body)
	}
	var refused ws.StatusError
	if _, err := siotest.DialSocket(other.url, "transport=websocket&"+v.query()); !errors.As(err, &refused) || refused != http.StatusServiceUnavailable {
		t.Errorf("a websocket: %v", err)
	}
	v.post(other.url, `428["register",{"userid":"43"}]`)
	if _, packets := v.poll(owner.url); packets[0] != `438[{"ok":true}]` {
		t.Errorf("%q", packets)
	}
	for _, kind := range []string{"poll", "websocket"} {
		if n := other.counter("doit_gateway_passed_total", kind, "leaves"); n != 1 {
			t.Errorf("%d of kind %s are counted", n, kind)
		}
	}
}

// A body that is too large ends its session as it does on its own node.
func TestLargeBodyThroughOther(t *testing.T) {
	f := startFleet(t, natstest.Cluster(t, 2), 2)
	owner, other := f.nodes[0], f.nodes[1]
	large := strconv.Quote(strings.Repeat("x", 900<<10))
	v := visit(t, owner.url, 4).join(owner.url, "42")
	v.post(other.url, `42["ignored",`+large+`]`)
	if status, body := v.do(http.MethodPost, other.url, `42["ignored",`+large+large+`]`); status != http.StatusRequestEntityTooLarge {
		t.Errorf("%d %.100q", status, body)
	}
	owner.wantClosed(eio.ReasonTooLarge, 1)
	owner.wantNothing()
	other.passes(0)

	// And an answer of any size arrives.
	v = visit(t, owner.url, 4).join(owner.url, "42")
	if n := owner.emit("42", "large", large); n != 1 {
		t.Fatalf("%d sockets took it", n)
	}
	if status, packets := v.poll(other.url); status != http.StatusOK || packets[0] != `42["large",`+large+`]` {
		t.Errorf("%d %.100q", status, packets)
	}
}

// A request with an invalid session id is answered here and not passed on.
func TestForgedSessions(t *testing.T) {
	f := startFleet(t, []*server.Server{natstest.Start(t)}, 2)
	node := f.nodes[0]
	said := make(chan *nats.Msg, 64)
	tap, err := node.pub.ChanSubscribe(">", said)
	if err != nil {
		t.Fatal(err)
	}
	node.flush(node.pub)
	tail := strings.Repeat("A", 20)
	for _, sid := range []string{
		"x", "*", ">", strings.Repeat("a", 16), strings.Repeat("a", 36) + "a",
		node.relay.Name + tail,         // this node's, but there is none
		strings.Repeat("A", 16) + tail, // no name
		"aaaaaaaaaaaaaaa." + tail,      // two tokens
		"aaaaaaaaaaaaaaa*" + tail,      // a wildcard
		"aaaaaaaaaaaaaaa>" + tail, "aaaaaaaaaaaaaa\r\n" + tail, "aaaaaaaaaaaaaaa " + tail,
		strings.Repeat("a", 16) + strings.Repeat(".", 20),
		strings.Repeat("a", 16) + strings.Repeat("я", 10),
	} {
		v := &guest{t: t, http: http.DefaultClient, eio: 4, sid: url.QueryEscape(sid)}
		v.wantUnknown(node.url)
	}
	node.flush(node.pub)
	if err := node.pub.Publish("fence", nil); err != nil {
		t.Fatal(err)
	}
	if m := <-said; m.Subject != "fence" {
		t.Errorf("%q was sent to %s", m.Data, m.Subject)
	}
	if err := tap.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	node.flush(node.pub)

	// A name that a node could have, and one that a node has.
	for _, name := range []string{strings.Repeat("a", 16), f.nodes[1].relay.Name} {
		v := &guest{t: t, http: http.DefaultClient, eio: 4, sid: name + tail}
		v.wantUnknown(node.url)
		if socket, err := siotest.DialSocket(node.url, "transport=websocket&"+v.query()); err == nil {
			t.Errorf("%s: a websocket", name)
			socket.Close()
		} else if status := ws.StatusError(0); !errors.As(err, &status) || status != http.StatusBadRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
	node.passes(0)
	f.nodes[1].passes(0)
	http.DefaultClient.CloseIdleConnections()
}

// The answer to a passed request has the same headers as one of the session's own node.
func TestPassedHeaders(t *testing.T) {
	f := startFleet(t, []*server.Server{natstest.Start(t)}, 2)
	headers := func(base string) http.Header {
		v := visit(t, f.nodes[0].url, 4)
		r, err := http.NewRequest(http.MethodPost, base+"/socket.io/?transport=polling&"+v.query(), strings.NewReader("40"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", "https://shop.example")
		resp, err := v.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		resp.Header.Del("Date")
		return resp.Header
	}
	own, passed := headers(f.nodes[0].url), headers(f.nodes[1].url)
	if fmt.Sprint(own) != fmt.Sprint(passed) {
		t.Errorf("its own node %v\nanother %v", own, passed)
	}
}

// A websocket handshake that the session's node refuses is refused.
func TestPassedHandshakeRefused(t *testing.T) {
	f := startFleet(t, []*server.Server{natstest.Start(t)}, 2)
	v := visit(t, f.nodes[0].url, 4)
	conn, err := net.Dial("tcp", strings.TrimPrefix(f.nodes[1].url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	fmt.Fprintf(conn, "GET /socket.io/?transport=websocket&%s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 12\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nConnection: close\r\n\r\n", v.query())
	_ = conn.SetReadDeadline(time.Now().Add(natstest.Patience))
	answer, err := io.ReadAll(conn)
	if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 426 ")) {
		t.Errorf("%q, %v", answer, err)
	}
	f.nodes[1].passes(0)
}
