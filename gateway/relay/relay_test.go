package relay

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/ramainen/doit-socket/internal/budget"
	"github.com/ramainen/doit-socket/internal/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startNode starts a node. The streams that other nodes open are sent to accepted.
func startNode(t testing.TB, s *server.Server, limit int) (n *Node, accepted chan *stream) {
	t.Helper()
	return startNodeOn(t, natstest.Connect(t, s), limit, prometheus.NewRegistry())
}

func startNodeOn(t testing.TB, nc *nats.Conn, limit int, reg *prometheus.Registry) (n *Node, accepted chan *stream) {
	t.Helper()
	n = New(nc, limit, slog.New(slog.DiscardHandler), reg)
	n.Budget = budget.New(64 << 20)
	accepted = make(chan *stream, 64)
	if err := n.Start(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_ = conn.SetDeadline(time.Time{})
		accepted <- conn.(*stream)
	})); err != nil {
		t.Fatal(err)
	}
	if err := n.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.Close()
		if bytes := n.Budget.Used(); bytes != 0 {
			t.Errorf("%d bytes count after Close", bytes)
		}
	})
	return n, accepted
}

// join returns the two ends of a stream from one node to another.
func join(t testing.TB, from, to *Node, accepted <-chan *stream) (here, there *stream) {
	t.Helper()
	here, err := from.open(to.Name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(here, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case there = <-accepted:
	case <-time.After(natstest.Patience):
		t.Fatal("no stream")
	}
	t.Cleanup(func() { _, _ = here.Close(), there.Close() })
	return here, there
}

// pair returns the two ends of a stream, and their nodes, on one server.
func pair(t testing.TB) (here, there *stream, nodes []*Node) {
	t.Helper()
	s := natstest.Start(t)
	a, _ := startNode(t, s, 0)
	b, accepted := startNode(t, s, 0)
	here, there = join(t, a, b, accepted)
	return here, there, []*Node{a, b}
}

// After a failed Start nothing runs: TestMain finds goroutines that still do.
func TestStartFails(t *testing.T) {
	nc := natstest.Connect(t, natstest.Start(t))
	nc.Close()
	n := New(nc, 0, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	wantErr(t, "Start", n.Start(http.NotFoundHandler()), nats.ErrConnectionClosed)
}

func wantErr(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func wantNoStreams(t testing.TB, nodes ...*Node) {
	t.Helper()
	for _, n := range nodes {
		natstest.Await(t, "no streams", func() bool {
			alive, silent := n.peers.divide()
			n.table.mu.Lock()
			defer n.table.mu.Unlock()
			return len(n.table.streams) == 0 && len(n.table.opened) == 0 && len(alive)+len(silent) == 0
		})
	}
}

// Bytes arrive in order, in both directions at once, for any sizes of reads and writes.
func TestStreamCarriesBytes(t *testing.T) {
	here, there, _ := pair(t)
	sent := make([]byte, 5<<20)
	for i := range sent {
		sent[i] = byte(rand.Uint32())
	}
	errs := make(chan error, 4)
	for _, end := range []*stream{here, there} {
		go func() {
			for rest := sent; len(rest) > 0; {
				n, err := end.Write(rest[:min(len(rest), 1+rand.IntN(100_000))])
				if err != nil {
					errs <- err
					return
				}
				rest = rest[n:]
			}
			errs <- nil
		}()
		go func() {
			got := make([]byte, len(sent))
			_, err := io.ReadFull(end, got)
			if err == nil && !bytes.Equal(got, sent) {
				err = errors.New("other bytes")
			}
			errs <- err
		}()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}

// A stalled reader stops the writer once the window is full.
func TestWindow(t *testing.T) {
	here, there, _ := pair(t)
	fill := make([]byte, 2*window)
	_ = here.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	n, err := here.Write(fill)
	wantErr(t, "Write", err, os.ErrDeadlineExceeded)
	if n >= window || n < window-100 { // the window already holds a request
		t.Errorf("%d bytes were taken", n)
	}
	if n, err := here.TryWrite(fill); n != 0 || err != nil {
		t.Errorf("TryWrite: %d, %v", n, err)
	}
	wantErr(t, "AwaitRoom", here.AwaitRoom(), os.ErrDeadlineExceeded)

	_ = here.SetWriteDeadline(time.Time{})
	room := make(chan error, 1)
	go func() { room <- here.AwaitRoom() }()
	if _, err := io.ReadFull(there, fill[:n]); err != nil {
		t.Fatal(err)
	}
	if err := <-room; err != nil {
		t.Errorf("AwaitRoom: %v", err)
	}
}

// What waits for a stalled reader counts in the budget of the reader's node, and for no other reader. Without room a
// stream with much waiting breaks, and one with little does not.
func TestBudget(t *testing.T) {
	s := natstest.Start(t)
	a, _ := startNode(t, s, 0)
	b, accepted := startNode(t, s, 0)
	fill := make([]byte, window/2)
	write := func(s *stream, b []byte) {
		t.Helper()
		if n, err := s.Write(b); n != len(b) || err != nil {
			t.Fatalf("%d bytes, %v", n, err)
		}
	}
	slow, there := join(t, a, b, accepted)
	write(slow, fill)
	full := func() bool { return b.Budget.Used() > int64(len(fill)-freeWindow) } // with what the messages take
	natstest.Await(t, "what waits to count", full)
	if _, err := io.ReadFull(there, fill); err != nil {
		t.Fatal(err)
	}
	if n := b.Budget.Used(); n != 0 {
		t.Errorf("%d bytes count when all is read", n)
	}

	write(slow, fill)
	natstest.Await(t, "what waits to count", full)
	rest := 64<<20 - int(b.Budget.Used())
	if !b.Budget.Take(rest) {
		t.Fatal("there is no room")
	}
	write(slow, fill[:maxData])
	natstest.Await(t, "the end of the slow stream", func() bool { return errors.Is(slow.cause(), errBroken) })
	wantErr(t, "at the full node", there.cause(), errMemory)
	b.Budget.Return(rest)
	if n := b.Budget.Used(); n != 0 {
		t.Errorf("%d bytes count after the end", n)
	}

	slow, _ = join(t, a, b, accepted)
	write(slow, fill)
	natstest.Await(t, "what waits to count", full)
	b.Budget.Add(64 << 20)
	if n := b.Budget.Relieve(); n != 1 {
		t.Errorf("%d are cut", n)
	}
	natstest.Await(t, "the end of the slow stream", func() bool { return errors.Is(slow.cause(), errBroken) })
	b.Budget.Return(64 << 20)

	b.Budget.Take(64 << 20)
	defer b.Budget.Return(64 << 20)
	quick, there := join(t, a, b, accepted)
	for range 10 {
		write(quick, fill[:freeWindow/2])
		if _, err := io.ReadFull(there, fill[:freeWindow/2]); err != nil {
			t.Fatal(err)
		}
	}
}

// A stream whose queue is never empty keeps nothing of what was read.
func TestInboundKeepsNothing(t *testing.T) {
	var in inbound
	for i := range 100 {
		if err := in.add(message{kind: kindData, number: uint64(i), data: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	array := in.queue
	for range 99 {
		in.remove(1)
	}
	for i, data := range array[:99] {
		if data != nil {
			t.Fatalf("message %d is kept", i)
		}
	}
}

// Bytes written before Close arrive, and then the end.
func TestClose(t *testing.T) {
	here, there, nodes := pair(t)
	if _, err := here.Write(make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	_ = here.Close()
	if n, err := io.Copy(io.Discard, there); n != 100_000 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	_, err := there.Write([]byte("x"))
	wantErr(t, "Write", err, syscall.EPIPE)
	_, err = here.Read(make([]byte, 1))
	wantErr(t, "Read", err, net.ErrClosed)
	_ = there.Close()
	wantNoStreams(t, nodes...)
}

// After CloseWrite, the bytes that the peer writes and its end can still be read.
func TestCloseWrite(t *testing.T) {
	here, there, nodes := pair(t)
	if _, err := there.Write(make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	here.CloseWrite()
	here.CloseWrite()
	_, err := here.Write([]byte("x"))
	wantErr(t, "Write", err, syscall.EPIPE)
	_, err = there.Read(make([]byte, 1))
	wantErr(t, "Read", err, io.EOF)
	_, err = there.Write([]byte("x"))
	wantErr(t, "Write", err, syscall.EPIPE)
	_ = there.SetLinger(0) // has no effect: the peer has ended its writing and reads on
	_ = there.Close()
	if n, err := io.Copy(io.Discard, here); n != 100_000 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	_ = here.Close()
	wantNoStreams(t, nodes...)
}

// After SetLinger(0), Close drops bytes that were not delivered.
func TestBreak(t *testing.T) {
	here, there, nodes := pair(t)
	told := make(chan struct{})
	there.setOnBreak(func() { close(told) })
	if _, err := here.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	_ = here.SetLinger(0)
	_ = here.Close()
	<-told
	_, err := there.Read(make([]byte, 1))
	wantErr(t, "Read", err, errBroken)
	wantNoStreams(t, nodes...)
}

// A waiting read ends at its deadline, even if the deadline is set during the wait.
func TestReadDeadline(t *testing.T) {
	here, _, _ := pair(t)
	ended := make(chan error, 1)
	go func() {
		_, err := here.Read(make([]byte, 1))
		ended <- err
	}()
	_ = here.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	wantErr(t, "Read", <-ended, os.ErrDeadlineExceeded)
	_ = here.SetReadDeadline(time.Unix(1, 0))
	_, err := here.Read(make([]byte, 1))
	wantErr(t, "Read", err, os.ErrDeadlineExceeded)
}

// A missing, repeated or impossible message breaks the stream on both nodes.
func TestLoss(t *testing.T) {
	for name, m := range map[string]message{
		"lost":            {kind: kindData, number: 2, data: []byte("x")},
		"doubled":         {kind: kindData, number: 0, data: []byte("x")},
		"end before data": {kind: kindEnd, number: 2},
		"taken too much":  {kind: kindRead, number: 1 << 40},
		"beyond window":   {kind: kindData, number: 1, data: make([]byte, maxData)},
	} {
		t.Run(name, func(t *testing.T) {
			here, there, nodes := pair(t)
			m.origin, m.from, m.id = fromOpener, nodes[0].Name, here.id
			times := 1
			if name == "beyond window" {
				times = window/maxData + 1
			}
			for range times {
				if err := nodes[0].nc.Publish(subjectOf(nodes[1].Name), m.append(nil)); err != nil {
					t.Fatal(err)
				}
				m.number++
			}
			natstest.Await(t, "the end", func() bool { return there.cause() != nil })
			wantErr(t, "there", there.cause(), errLost)
			natstest.Await(t, "the end", func() bool { return here.cause() != nil })
			wantErr(t, "here", here.cause(), errBroken)
			wantNoStreams(t, nodes...)
		})
	}
}

// Data and opens of a stream that does not exist are answered with a break; other messages are not
// answered.
func TestUnknownStream(t *testing.T) {
	s := natstest.Start(t)
	n, _ := startNode(t, s, 0)
	stranger := natstest.Connect(t, s)
	const name = "0123456789abcdef"
	heard, err := stranger.SubscribeSync(prefix + name)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{nil, []byte("x"), message{kind: kindData, origin: fromOpener, from: "aaaaaaaa.aaaaaa>", id: 1, data: []byte("x")}.append(nil),
		message{kind: kindEnd, origin: fromOpener, from: name, id: 1}.append(nil),
		message{kind: kindBreak, origin: fromOpener, from: name, id: 1}.append(nil),
		message{kind: kindRead, origin: fromOpener, from: name, id: 1}.append(nil),
		message{kind: kindAlive, origin: fromOpener, from: name}.append(nil),
		message{kind: kindData, origin: fromOpener, from: name, id: 7, data: []byte("x")}.append(nil),
		message{kind: kindOpen, origin: fromAcceptor, from: name, id: 8}.append(nil)} {
		if err := stranger.Publish(prefix+n.Name, b); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []uint64{7, 8} {
		answer, err := heard.NextMsg(natstest.Patience)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := parse(answer.Data); err != nil || m.kind != kindBreak || m.id != id || m.from != n.Name {
			t.Errorf("%+v, %v", m, err)
		}
	}
	wantNoStreams(t, n)
}

// No stream is opened or accepted beyond the limit. A stream that ends makes room.
func TestLimit(t *testing.T) {
	s := natstest.Start(t)
	a, _ := startNode(t, s, 2)
	b, accepted := startNode(t, s, 1)
	first, there := join(t, a, b, accepted)
	second, err := a.open(b.Name)
	if err != nil {
		t.Fatal(err)
	}
	natstest.Await(t, "the refusal", func() bool { return second.cause() != nil })
	wantErr(t, "the second", second.cause(), errBroken)
	third, err := a.open("0123456789abcdef")
	if err != nil {
		t.Fatal(err)
	}
	natstest.Await(t, "the answer that there is no such node", func() bool { return third.cause() != nil })
	wantErr(t, "the third", third.cause(), errNobody)
	if _, err := a.nc.Subscribe(prefix+"fedcba9876543210", func(*nats.Msg) {}); err != nil {
		t.Fatal(err)
	}
	fourth, err := a.open("fedcba9876543210")
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.open(b.Name)
	wantErr(t, "the fifth", err, errFull)
	_ = fourth.Close()
	_, _ = first.Close(), there.Close()
	wantNoStreams(t, a, b)
	join(t, a, b, accepted)
}

// All streams break when the connection to NATS was lost, because messages may be missing.
func TestReconnect(t *testing.T) {
	s := natstest.Start(t)
	a, _ := startNode(t, s, 0)
	b, accepted := startNode(t, s, 0)
	here, there := join(t, a, b, accepted)
	if err := a.nc.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	natstest.Await(t, "the end", func() bool { return here.cause() != nil && there.cause() != nil })
	wantErr(t, "here", here.cause(), errBus)
	wantErr(t, "there", there.cause(), errBroken)
	// New streams can be opened.
	join(t, a, b, accepted)
}

// parse accepts exactly what append writes, and the parsed name is valid in a subject.
func FuzzMessage(f *testing.F) {
	const name = "0123456789abcdef"
	for _, kind := range "odetba" {
		m := message{kind: byte(kind), origin: fromOpener, from: name, id: 1, number: 2}
		if kind == kindData {
			m.data = []byte("data")
		}
		f.Add(m.append(nil))
	}
	f.Add([]byte(strings.Repeat("d", headLength)))
	f.Add(message{kind: kindOpen, origin: fromOpener, from: "aaaaaaaa.aaaaaa>"}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parse(b)
		if err != nil {
			return
		}
		if !bytes.Equal(m.append(nil), b) {
			t.Errorf("%q is read as %+v", b, m)
		}
		if len(m.from) != nameLength || strings.ContainsAny(m.from, ".*> \t\r\n") || len(m.data) > maxData {
			t.Errorf("%+v", m)
		}
	})
}
