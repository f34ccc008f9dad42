package emit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/wire"
)

// newIngest returns an ingest on a connection as the programs have it.
func newIngest(t testing.TB, url string) *Ingest {
	nc, err := nats.Connect(url, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1),
		nats.ReconnectWait(5*time.Millisecond), nats.ReconnectJitter(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	in, err := New(Config{MaxBody: 4096}, nc, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.Close)
	return in
}

// What an emit to several receivers says, by what becomes of each.
func TestOutcomes(t *testing.T) {
	b := newBench(t)
	quick, patient := newIngest(t, b.server.ClientURL()), newIngest(t, b.server.ClientURL())
	patient.receipts.bound = natstest.Patience
	b.holds("held", 2)
	for _, id := range []string{"left1", "left2", "left3", "left4"} {
		b.leaves(id)
	}
	b.holds("zero", 0)
	b.holds("silent", -1)
	for _, c := range []struct {
		ids     string
		reached bool
		err     error
		waits   bool
	}{
		{"", false, nil, false},
		{"nobody", false, nil, false},
		{"nobody nobody other", false, nil, false},
		{"nobody held", true, nil, false},
		{"silent held zero", true, nil, false},
		{"held held", true, nil, false},
		{"zero nobody", false, nil, true},
		{"left1", false, nil, false},
		{"left2 nobody left2", false, nil, false},
		{"left3 held", true, nil, false},
		{"left4 silent", false, errUnconfirmed, true},
		{"nobody silent", false, errUnconfirmed, true},
		{"zero silent", false, errUnconfirmed, true},
	} {
		t.Run(c.ids, func(t *testing.T) {
			t.Parallel()
			in := patient // what is known is known before the bound
			if c.waits {
				in = quick
			}
			began := time.Now()
			reached, err := in.emit(strings.Fields(c.ids), "e", []byte("1"))
			if reached != c.reached || !errors.Is(err, c.err) {
				t.Errorf("%v, %v; want %v, %v", reached, err, c.reached, c.err)
			}
			if took := time.Since(began); c.waits && took < bound || took >= natstest.Patience {
				t.Errorf("took %v", took)
			}
		})
	}
}

// Whoever answers an inbox may write what he likes: nothing of it is a
// receipt for another request or another receiver, and nothing ends the process.
func TestForgedReceipts(t *testing.T) {
	b := newBench(t)
	in := newIngest(t, b.server.ClientURL())
	b.subscribe("user.42", func(m *nats.Msg) {
		number, _, _ := strings.Cut(strings.TrimPrefix(m.Reply, in.receipts.prefix), ".")
		for _, tail := range []string{number + ".-1", number + ".1", number + ".x", number + ".0.0", number + ".99999999999999999999", number, "0.0", "-1.0", "zzzzzzzzzzzzzzzz.0", "x y.0"} {
			_ = b.gw.Publish(in.receipts.prefix+tail, []byte("1 forged"))
		}
		for _, answer := range []string{"", "1", "-1 gw", "+1", "1e3 gw", " 1 gw", "99999999999999999999 gw", "OK"} {
			_ = m.Respond([]byte(answer))
		}
		_ = m.RespondMsg(&nats.Msg{Header: nats.Header{"Status": {"404"}}})
	})
	if reached, err := in.emit([]string{"42"}, "e", []byte("1")); reached || !errors.Is(err, errUnconfirmed) {
		t.Errorf("%v, %v", reached, err)
	}
	// All but one to a request that is over, and one that has no valid subject.
	if got := counted(t, in.metrics.malformed); got != 8+8+1 {
		t.Errorf("%v are counted", got)
	}
}

// A receipt that is late for its emit answers no later one.
func TestLateReceipts(t *testing.T) {
	b := newBench(t)
	in := newIngest(t, b.server.ClientURL())
	replies := make(chan string, 2)
	b.subscribe("user.42", func(m *nats.Msg) { replies <- m.Reply })
	if _, err := in.emit([]string{"42"}, "e", []byte("1")); !errors.Is(err, errUnconfirmed) {
		t.Fatal(err)
	}
	late := <-replies
	outcome := make(chan error, 1)
	go func() {
		reached, err := in.emit([]string{"42"}, "e", []byte("2"))
		if reached {
			err = errors.New("reached")
		}
		outcome <- err
	}()
	if now := <-replies; now == late {
		t.Error("two emits have one inbox")
	}
	if err := b.gw.Publish(late, []byte("1 gw")); err != nil {
		t.Fatal(err)
	}
	if err := <-outcome; !errors.Is(err, errUnconfirmed) {
		t.Errorf("the second emit: %v", err)
	}
	natstest.Await(t, "late receipt", func() bool { return counted(t, in.metrics.late) == 1 })
	for range rememberLate + 10 {
		number, _ := in.receipts.begin([]string{"user.42"})
		in.receipts.end(number, false)
	}
	if len(in.receipts.waiting) != rememberLate || len(in.receipts.late) != rememberLate {
		t.Errorf("%d requests are remembered", len(in.receipts.waiting))
	}
}

// counted is what a metric says.
func counted(t testing.TB, c prometheus.Collector) float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(c)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families[0].GetMetric()[0].GetCounter().GetValue()
}

// leaves is a user whose last socket has just gone: the event finds none, and the subscription goes.
func (b *bench) leaves(id string) {
	var sub *nats.Subscription
	held := make(chan struct{})
	sub, err := b.gw.Subscribe("user."+id, func(m *nats.Msg) {
		<-held
		_ = m.Respond([]byte("0 gw"))
		_ = sub.Drain()
	})
	if err != nil {
		b.t.Fatal(err)
	}
	close(held)
	if err := b.gw.Flush(); err != nil {
		b.t.Fatal(err)
	}
}

// An emit that was passed on to where its user has just been given up has no
// answer. That the user was given up is one, and only for him.
func TestWhoWasGivenUpIsNobody(t *testing.T) {
	b := newBench(t)
	in := newIngest(t, b.server.ClientURL())
	in.receipts.bound = natstest.Patience
	sub, err := b.gw.Subscribe("user.42", func(m *nats.Msg) {
		_ = m.Sub.Unsubscribe()
		_ = b.gw.Publish(wire.SubjectLeft, []byte("user.42"))
	})
	if err != nil {
		t.Fatal(err)
	}
	b.subscribe("user.43", func(*nats.Msg) { _ = b.gw.Publish(wire.SubjectLeft, []byte("user.4")) })
	if reached, err := in.emit([]string{"42"}, "e", []byte("1")); reached || err != nil {
		t.Errorf("%v, %v", reached, err)
	}
	if sub.IsValid() {
		t.Error("it was not asked")
	}
	in.receipts.bound = bound
	if reached, err := in.emit([]string{"43"}, "e", []byte("1")); reached || !errors.Is(err, errUnconfirmed) {
		t.Errorf("another: %v, %v", reached, err)
	}
}

// After a zero the ingest asks who holds the user. That somebody does is no
// OK, whatever he answers: he may have come after the event.
func TestACountIsNoReceipt(t *testing.T) {
	b := newBench(t)
	in := newIngest(t, b.server.ClientURL())
	in.receipts.recount = 10 * time.Millisecond
	asked := make(chan struct{}, 1000)
	b.subscribe("user.42", func(m *nats.Msg) {
		if m.Header.Get(wire.HeaderOp) == wire.OpCount {
			asked <- struct{}{}
			_ = m.Respond([]byte("1 gw"))
			return
		}
		_ = m.Respond([]byte("0 gw"))
	})
	if reached, err := in.emit([]string{"42"}, "e", []byte("1")); reached || err != nil {
		t.Errorf("%v, %v", reached, err)
	}
	if len(asked) < 2 {
		t.Errorf("asked %d times in a second", len(asked))
	}
}

// A gateway whose receipt comes after another one's zero, and which has given
// up the user since, is heard before nobody is.
func TestAReceiptBehindAZero(t *testing.T) {
	b := newBench(t)
	in := newIngest(t, b.server.ClientURL())
	in.receipts.bound, in.receipts.recount = natstest.Patience, natstest.Patience/2
	other := natstest.Connect(t, b.server)
	left := make(chan struct{})
	hold := func(nc *nats.Conn, then func(*nats.Msg)) {
		if _, err := nc.Subscribe("user.42", func(m *nats.Msg) {
			_ = m.Sub.Unsubscribe()
			_ = nc.Flush()
			then(m)
		}); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	hold(b.gw, func(m *nats.Msg) { <-left; _ = b.gw.Publish(m.Reply, []byte("0 gw")) })
	hold(other, func(m *nats.Msg) {
		close(left)
		time.AfterFunc(100*time.Millisecond, func() { _ = other.Publish(m.Reply, []byte("1 other")) })
	})
	if reached, err := in.emit([]string{"42"}, "e", []byte("1")); !reached || err != nil {
		t.Errorf("%v, %v", reached, err)
	}
}

// The bus goes while it is asked: nothing is known of other gateways.
func TestTheBusGoesAfterAZero(t *testing.T) {
	b := newBench(t)
	in := newIngest(t, b.server.ClientURL())
	in.receipts.bound = natstest.Patience
	gone := make(chan struct{}, 1000)
	b.subscribe("user.42", func(m *nats.Msg) {
		_ = m.Respond([]byte("0 gw"))
		_ = b.gw.Flush()
		gone <- struct{}{}
	})
	go func() { <-gone; natstest.Stop(b.server) }()
	if reached, err := in.emit([]string{"42"}, "e", []byte("1")); reached || status(err) != http.StatusServiceUnavailable {
		t.Errorf("%v, %v", reached, err)
	}
}

// 2,000 emits at once, each with its own truth.
func TestEachItsOwnTruth(t *testing.T) {
	const emits = 2000
	b := newBench(t)
	in := newIngest(t, b.server.ClientURL())
	in.receipts.bound = 3 * time.Second // zeros wait for it; on a busy machine receipts may take long
	b.subscribe("user.*", func(m *nats.Msg) {
		n, _ := strconv.Atoi(strings.TrimPrefix(m.Subject, "user."))
		if n%3 != 0 { // the others answer with zero
			n = 0
		}
		_ = m.Respond(wire.Receipt{Sockets: n, Node: "gw"}.Append(nil))
	})
	var all sync.WaitGroup
	for n := 1; n <= emits; n++ {
		all.Go(func() {
			reached, err := in.emit([]string{strconv.Itoa(n)}, "e", []byte("1"))
			if err != nil || reached != (n%3 == 0) {
				t.Errorf("emit %d: %v, %v", n, reached, err)
			}
		})
	}
	all.Wait()
}

// An ingest that starts before the bus, or outlives it, refuses meanwhile and
// works by itself when the bus is back.
func TestTheBusComesBack(t *testing.T) {
	first := natstest.Start(t)
	natstest.Stop(first)
	in := newIngest(t, first.ClientURL())
	refused := func() {
		t.Helper()
		began := time.Now()
		if reached, err := in.emit([]string{"42"}, "e", []byte("1")); reached || status(err) != http.StatusServiceUnavailable {
			t.Fatalf("%v, %v", reached, err)
		}
		if time.Since(began) >= bound {
			t.Error("not refused at once: it waits to be sent later")
		}
		if _, err := in.stat(); err == nil {
			t.Error("stat without a bus")
		}
	}
	refused()
	for range 2 {
		s := natstest.Restart(t, first)
		natstest.Await(t, "connection", in.nc.IsConnected)
		gw := natstest.Connect(t, s)
		if _, err := gw.Subscribe("user.42", func(m *nats.Msg) { _ = m.Respond([]byte("1 gw")) }); err != nil {
			t.Fatal(err)
		}
		if err := gw.Flush(); err != nil {
			t.Fatal(err)
		}
		if reached, err := in.emit([]string{"42"}, "e", []byte("1")); !reached || err != nil {
			t.Errorf("%v, %v", reached, err)
		}
		gw.Close()
		natstest.Stop(s)
		natstest.Await(t, "disconnect", func() bool { return !in.nc.IsConnected() })
		refused()
	}
}

// nats.go holds its lock while it tries to connect, which takes long where the
// server's machine is gone. An emit is answered in its time, and what could not
// be sent in its time is not sent later.
func TestTheBusIsBeyondReach(t *testing.T) {
	first := natstest.Start(t)
	trying, released := make(chan struct{}, 1000), make(chan struct{})
	nc, err := nats.Connect(first.ClientURL(), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1),
		nats.ReconnectToServer(func(servers []nats.Server, _ nats.ServerInfo) (*nats.Server, time.Duration) {
			trying <- struct{}{}
			<-released
			return &servers[0], 0
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	in, err := New(Config{MaxBody: 4096}, nc, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.Close)
	natstest.Stop(first)
	<-trying
	outcome := make(chan error, 3)
	for range cap(outcome) {
		go func() {
			_, err := in.emit([]string{"42", "43"}, "e", []byte("1"))
			outcome <- err
		}()
	}
	for range cap(outcome) {
		select {
		case err := <-outcome:
			if !errors.Is(err, errUnconfirmed) {
				t.Errorf("%v", err)
			}
		case <-time.After(natstest.Patience):
			t.Error("not answered")
		}
	}
	s := natstest.Restart(t, first)
	gw := natstest.Connect(t, s)
	heard, err := gw.SubscribeSync("user.*")
	if err != nil {
		t.Fatal(err)
	}
	if err := gw.Flush(); err != nil {
		t.Fatal(err)
	}
	close(released)
	natstest.Await(t, "connection", nc.IsConnected)
	if _, err := in.emit([]string{"42"}, "fence", []byte("1")); !errors.Is(err, errUnconfirmed) {
		t.Errorf("%v", err)
	}
	if m, err := heard.NextMsg(natstest.Patience); err != nil || string(m.Data) != `["fence",1]` {
		t.Errorf("heard %v, %v", m, err)
	}
}

// The bus goes, or the ingest closes, while an emit waits: it is not confirmed.
func TestTheEndWhileAnEmitWaits(t *testing.T) {
	for name, end := range map[string]func(*bench, *Ingest){
		"bus":    func(b *bench, _ *Ingest) { natstest.Stop(b.server) },
		"ingest": func(_ *bench, in *Ingest) { in.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			in := newIngest(t, b.server.ClientURL())
			b.holds("42", -1)
			outcome := make(chan error, 1)
			go func() {
				_, err := in.emit([]string{"42"}, "e", []byte("1"))
				outcome <- err
			}()
			<-b.heard
			end(b, in)
			if err := <-outcome; status(err) != http.StatusServiceUnavailable {
				t.Errorf("%v", err)
			}
		})
	}
}

// Also a method that nobody knows is answered with one of the two words.
func TestEveryMethod(t *testing.T) {
	b := newBench(t)
	b.holds("u", 1)
	for _, method := range []string{"PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "QUERY", "post", "X"} {
		for _, path := range []string{"/emit", "/emit/"} {
			r, err := http.NewRequest(method, b.http.URL+path+"?id=u&message=e", nil)
			if err != nil {
				t.Fatal(err)
			}
			if status, answer := b.send(r); status != 405 || answer != "ERROR" {
				t.Errorf("%s %s: %d %q", method, path, status, answer)
			}
		}
	}
	if status, answer := b.do("GET", "/emit?id=u&message=e", ""); status != 200 || answer != "OK" {
		t.Errorf("GET: %d %s", status, answer)
	}
	if m := <-b.heard; string(m.Data) != `["e",{}]` || len(b.heard) > 0 {
		t.Errorf("heard %s and %d more", m.Data, len(b.heard))
	}
}

// A client that announces too large a body and asks first, as curl does, is
// told at once: it need not send it.
func TestTooLargeIsSaidBeforeTheBody(t *testing.T) {
	b := newBench(t)
	answer := raw(t, b, "POST /emit HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 4097\r\nExpect: 100-continue\r\n\r\n")
	if status, body := answer.StatusCode, text(t, answer); status != 413 || body != "ERROR" {
		t.Errorf("%d %q", status, body)
	}
}

func TestBrokenBodies(t *testing.T) {
	b := newBench(t)
	head := "POST /emit HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
	for name, rest := range map[string]string{
		"chunk size":    "Transfer-Encoding: chunked\r\n\r\nzz\r\nid=u\r\n",
		"negative size": "Transfer-Encoding: chunked\r\n\r\n-1\r\nid=u\r\n",
	} {
		answer := raw(t, b, head+rest)
		if status, body := answer.StatusCode, text(t, answer); status != 400 || body != "ERROR" {
			t.Errorf("%s: %d %q", name, status, body)
		}
	}
}

// raw sends bytes and returns the first answer.
func raw(t *testing.T, b *bench, request string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", b.http.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(natstest.Patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	return answer
}

func text(t *testing.T, answer *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// A browser's id list that is no list, and other shapes, name as qs says;
// percent-escapes that are not UTF-8 are no JSON, so nothing of an old code
// page reaches a socket raw.
func TestOldCodePage(t *testing.T) {
	b := newBench(t)
	b.holds("u", 1)
	for body, want := range map[string]string{
		"id=u&message=e&data=%22%CF%F0%22": "400 ERROR",
		"id=u&message=e&data=\"\xcf\xf0\"": "200 OK", // Node reads such bytes as U+FFFD
		"id=u&message=\xcf&data=1":         "200 OK",
	} {
		status, answer := b.do("POST", "/emit", body)
		if got := fmt.Sprint(status, " ", answer); got != want {
			t.Errorf("%q: %s, want %s", body, got, want)
		}
	}
	for len(b.heard) > 0 {
		if m := <-b.heard; wire.Check(m.Data) != nil {
			t.Errorf("%q was sent", m.Data)
		}
	}
}
