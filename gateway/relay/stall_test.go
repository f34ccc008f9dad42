package relay

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/internal/natstest"
)

// prompt bounds calls that must not wait for NATS. It is far above what a loaded machine needs, and
// far below dialTimeout.
const (
	prompt      = 2 * time.Second
	dialTimeout = time.Minute
)

// A dialer reports each connection that it has made. nats.go calls it while it holds its lock.
type dialer chan struct{}

func (d dialer) Dial(network, address string) (net.Conn, error) {
	c, err := net.Dial(network, address)
	select {
	case d <- struct{}{}:
	default:
	}
	return c, err
}

// A stallable is a node whose NATS server can stop answering.
type stallable struct {
	*Node
	accepted chan *stream
	counted  *prometheus.Registry
	proxy    *natstest.Proxy
	dials    dialer
}

func startStallable(t *testing.T, s *server.Server) *stallable {
	t.Helper()
	n := &stallable{counted: prometheus.NewRegistry(), proxy: natstest.StartProxy(t, s), dials: make(dialer, 1)}
	nc, err := nats.Connect(n.proxy.URL(), nats.SetCustomDialer(n.dials), nats.Timeout(dialTimeout),
		nats.IgnoreDiscoveredServers(), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1),
		nats.ReconnectWait(time.Millisecond), nats.ReconnectJitter(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	<-n.dials
	n.Node, n.accepted = startNodeOn(t, nc, 0, n.counted)
	return n
}

// stall breaks the connection to NATS. It returns while nats.go waits for the first bytes of the
// server on the next connection. wake lets the server answer. It fails the test unless nats.go has
// blocked a caller until then.
func (n *stallable) stall(t *testing.T) (wake func()) {
	t.Helper()
	t.Cleanup(func() { n.proxy.Freeze(false, false) }) // in case the test has failed before wake
	n.proxy.Freeze(true, true)
	n.proxy.Cut()
	<-n.dials
	returned := make(chan struct{})
	go func() {
		n.nc.Stats()
		close(returned)
	}()
	return func() {
		t.Helper()
		select {
		case <-returned:
			t.Error("nats.go did not keep its callers waiting: the test has shown nothing")
		default:
		}
		n.proxy.Freeze(false, false)
		<-returned
	}
}

// promptly runs f, which must not wait for NATS.
func promptly(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(prompt):
		t.Errorf("%s was kept waiting", what)
	}
}

// browse opens a websocket at node whose session is on another node.
func browse(t *testing.T, node, other *Node, accepted <-chan *stream) net.Conn {
	t.Helper()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		node.Pass(w, r, other.Name)
	}))
	t.Cleanup(web.Close)
	browser, err := net.Dial("tcp", web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = browser.Close() })
	if _, err := io.WriteString(browser, "GET /?transport=websocket HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(<-accepted, "HTTP/1.1 101 Switching Protocols\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	natstest.Await(t, "the pipe", func() bool { return node.Pipes() == 1 })
	return browser
}

// While nats.go connects to a server that accepts and sends nothing, streams can be written to,
// read, closed and counted. Bytes written before Close arrive once the server answers.
func TestStalledNATS(t *testing.T) {
	s := natstest.Start(t)
	other, accepted := startNode(t, s, 0)
	node := startStallable(t, s)
	closing, closingThere := join(t, node.Node, other, accepted)
	resetting, _ := join(t, node.Node, other, accepted)
	filling, _ := join(t, node.Node, other, accepted)
	reading, readingThere := join(t, node.Node, other, accepted)
	_, trying := join(t, other, node.Node, node.accepted)
	browser := browse(t, node.Node, other, accepted)
	if _, err := readingThere.Write(make([]byte, window/2)); err != nil {
		t.Fatal(err)
	}
	natstest.Await(t, "what will be read", func() bool {
		reading.mu.Lock()
		defer reading.mu.Unlock()
		return reading.in.bytes == window/2
	})

	wake := node.stall(t)
	opened := make(chan error, 1)
	go func() {
		s, err := node.open(other.Name)
		if err == nil {
			_ = s.Close()
		}
		opened <- err
	}()
	beating := make(chan struct{})
	go func() {
		defer close(beating)
		node.pulse.beat(false)
	}()
	promptly(t, "Write", func() {
		if _, err := io.WriteString(closing, "written, then closed"); err != nil {
			t.Error(err)
		}
	})
	promptly(t, "Close", func() { _ = closing.Close() })
	promptly(t, "Close after SetLinger(0)", func() { _, _ = resetting.SetLinger(0), resetting.Close() })
	promptly(t, "Write beyond the window", func() {
		_ = filling.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		n, err := filling.Write(make([]byte, 2*window))
		wantErr(t, "Write", err, os.ErrDeadlineExceeded)
		if n > window {
			t.Errorf("%d bytes wait to be sent", n)
		}
	})
	promptly(t, "CloseWrite", filling.CloseWrite)
	promptly(t, "Read", func() {
		if _, err := io.ReadFull(reading, make([]byte, window/2)); err != nil {
			t.Error(err)
		}
	})
	natstest.Await(t, "NATS to be found stalled", node.sender.stalled)
	promptly(t, "TryWrite, many times", func() {
		for range 1000 {
			if n, err := trying.TryWrite([]byte("x")); n != 1 || err != nil {
				t.Errorf("TryWrite: %d, %v", n, err)
				return
			}
		}
	})
	promptly(t, "a message of an unknown stream", func() {
		m := message{kind: kindData, origin: fromOpener, from: other.Name, id: 1 << 40, data: []byte("x")}
		node.receive(&nats.Msg{Data: m.append(nil)})
	})
	promptly(t, "a message of a peer", func() {
		node.receive(&nats.Msg{Data: message{kind: kindAlive, origin: fromOpener, from: other.Name}.append(nil)})
	})
	promptly(t, "/metrics", func() {
		if _, err := node.counted.Gather(); err != nil {
			t.Error(err)
		}
	})
	promptly(t, "Streams", func() { node.Streams() })
	_ = browser.Close()
	promptly(t, "Drain", func() { node.Drain(context.Background(), 0) })
	select {
	case err := <-opened:
		t.Errorf("open did not wait for NATS: %v", err)
	default:
	}

	wake()
	<-beating
	if err := <-opened; err != nil {
		t.Errorf("open: %v", err)
	}
	got, err := io.ReadAll(closingThere)
	if want := []byte("written, then closed"); err != nil || !bytes.HasSuffix(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	natstest.Await(t, "the other streams to break", func() bool { return reading.cause() != nil })
	wantErr(t, "cause", reading.cause(), errBus)
	join(t, node.Node, other, accepted)
}

// TryWrite waits at most for sendPatience if the server has just stopped answering.
func TestTryWriteStalls(t *testing.T) {
	s := natstest.Start(t)
	other, accepted := startNode(t, s, 0)
	node := startStallable(t, s)
	here, _ := join(t, node.Node, other, accepted)
	wake := node.stall(t)
	defer wake()
	promptly(t, "TryWrite", func() {
		if n, err := here.TryWrite([]byte("x")); n != 1 || err != nil {
			t.Errorf("TryWrite: %d, %v", n, err)
		}
	})
}

// While messages cannot be published, a request is answered 503, which tells the client that it may
// repeat it.
func TestRefusedByNATS(t *testing.T) {
	n, _ := startNode(t, natstest.Start(t), 0)
	n.nc.Close()
	w := httptest.NewRecorder()
	if !n.Pass(w, httptest.NewRequest(http.MethodGet, "/?transport=polling", nil), "0123456789abcdef") {
		t.Error("the request was not answered")
	}
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("answered %d", w.Code)
	}
	wantNoStreams(t, n)
}

// The sender publishes one message of each stream in turn, keeps the order within a stream, and
// sends no dropped message.
func TestSenderTurns(t *testing.T) {
	s := natstest.Start(t)
	nc := natstest.Connect(t, s)
	heard, err := natstest.Connect(t, s).SubscribeSync("stream.*")
	if err != nil {
		t.Fatal(err)
	}
	if err := heard.SetPendingLimits(-1, -1); err != nil {
		t.Fatal(err)
	}
	natstest.Await(t, "the subscription", func() bool { return s.GlobalAccount().SubscriptionInterest("stream.a") })
	sender := newSender(nc.PublishMsg)
	put := func(q *sendQueue, name, data string) {
		q.sent = func(outgoing, error) {}
		sender.put(q, outgoing{msg: nats.Msg{Subject: "stream." + name, Data: []byte(data)}})
	}
	var a, b, c sendQueue
	for i := range 3 {
		put(&a, "a", fmt.Sprint(i))
		put(&c, "c", fmt.Sprint(i))
	}
	sender.drop(&c)
	put(&c, "c", "last")
	put(&b, "b", "0")
	sender.close()
	sender.run()
	for _, want := range []string{"a0", "clast", "b0", "a1", "a2"} {
		m, err := heard.NextMsg(natstest.Patience)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Subject[len("stream."):] + string(m.Data); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
