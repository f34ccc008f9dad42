package hub

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/wire"
)

// counter returns the value of a metric of the hub. reason is the label's value, "" if the metric has no label.
func counter(t testing.TB, c prometheus.Collector, reason string) (value float64) {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(c)
	families, err := r.Gather()
	if err != nil || len(families) != 1 {
		t.Fatalf("%d families, %v", len(families), err)
	}
	for _, m := range families[0].GetMetric() {
		if reason == "" || m.GetLabel()[0].GetValue() == reason {
			value += m.GetCounter().GetValue()
		}
	}
	return value
}

func TestCounters(t *testing.T) {
	b := newBench(t)
	b.page("user.42")
	b.page("user.42")
	full, _ := b.page("user.42")
	full.full = true
	b.emit(event("user.42", `["e"]`))
	for _, payload := range []string{``, "[\"\xff\"]", `["connect"]`, `["connect_error"]`, `["newListener",1]`, `["dis\u0063onnect"]`} {
		b.emit(event("user.42", payload))
	}
	if got := counter(t, b.hub.options.Metrics.delivered, ""); got != 2 {
		t.Errorf("delivered %v, want 2", got)
	}
	if got := counter(t, b.hub.options.Metrics.dropped, "malformed"); got != 6 {
		t.Errorf("malformed %v, want 6", got)
	}
}

// Flush is called even for a socket whose queue is full, because Flush closes it.
func TestRefusingSocketIsFlushed(t *testing.T) {
	b := newBench(t)
	c := &flushes{}
	s := attach(c)
	if err := b.register(s, "user.42"); err != nil {
		t.Fatal(err)
	}
	// Its Flush detaches it, as a session's does, so the registry's lock must be free.
	c.onFlush = func() { b.hub.Detach(s) }
	if r, ok := b.emit(event("user.42", `["e"]`)); !ok || r.Sockets != 0 {
		t.Errorf("%+v, %v", r, ok)
	}
	if b.users() != 0 {
		t.Error("it was not flushed")
	}
}

type flushes struct {
	recorder
	onFlush, onClose func()
}

func (*flushes) Send(*Message) bool { return false }
func (c *flushes) Flush() bool      { c.onFlush(); return false }
func (c *flushes) Close()           { c.onClose() }

// A Conn may call Detach within Close, so the registry's lock must be free.
func TestDisconnectDetaches(t *testing.T) {
	b := newBench(t)
	for range 3 {
		c := &flushes{}
		s := attach(c)
		c.onClose = func() { b.hub.Detach(s) }
		if err := b.register(s, "user.42", "user.43"); err != nil {
			t.Fatal(err)
		}
	}
	m := event("user.42", "not looked at")
	m.Header.Set(wire.HeaderOp, wire.OpDisconnect)
	if r, _ := b.emit(m); r.Sockets != 3 {
		t.Errorf("%+v", r)
	}
	if b.users() != 0 {
		t.Errorf("%d subscriptions are left", b.users())
	}
}

// An unknown operation, of a later version, is not delivered as an event. It is not answered either, so that its
// publisher does not take it for done.
func TestUnknownOp(t *testing.T) {
	b := newBench(t)
	page, _ := b.page("user.42")
	answers, err := b.pub.SubscribeSync(b.pub.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	ops := []string{"later", "COUNT", "*"}
	for _, op := range ops {
		m := &nats.Msg{Subject: "user.42", Reply: answers.Subject, Data: []byte(`["e"]`), Header: nats.Header{wire.HeaderOp: {op}}}
		if err := b.pub.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.pub.PublishRequest("user.42", answers.Subject, []byte(`["fence"]`)); err != nil {
		t.Fatal(err)
	}
	answer, err := answers.NextMsg(natstest.Patience)
	if err != nil || string(answer.Data) != "1 gw" {
		t.Errorf("answer %v, %v", answer, err)
	}
	if more, _, _ := answers.Pending(); more != 0 {
		t.Errorf("%d more answers", more)
	}
	if heard := page.take(); !slices.Equal(heard, []string{`["fence"]`}) {
		t.Errorf("heard %q", heard)
	}
	if got := counter(t, b.hub.options.Metrics.dropped, "unknown op"); got != float64(len(ops)) {
		t.Errorf("counted %v", got)
	}
}

// All sockets of a user share one subscription and one Message, so the payload is encoded once.
func TestOneSubscriptionForAllSockets(t *testing.T) {
	const sockets = 100
	b := newBench(t)
	var seen []*Message
	for range sockets {
		s := attach(sendFunc(func(m *Message) bool { seen = append(seen, m); return true }))
		if err := b.register(s, "user.42"); err != nil {
			t.Fatal(err)
		}
	}
	if b.users() != 1 {
		t.Errorf("%d subscriptions", b.users())
	}
	if r, _ := b.emit(event("user.42", `["e"]`)); r.Sockets != sockets {
		t.Errorf("%+v", r)
	}
	if len(seen) != sockets || len(slices.Compact(seen)) != 1 {
		t.Errorf("%d calls of Send, not all with one Message", len(seen))
	}
}

type sendFunc func(*Message) bool

func (sendFunc) ID() string             { return "" }
func (f sendFunc) Send(m *Message) bool { return f(m) }
func (sendFunc) Flush() bool            { return true }
func (sendFunc) Close()                 {}

func TestStat(t *testing.T) {
	b := newBench(t)
	b.page("user.42", "user.43")
	b.page("user.42")
	answer, err := b.pub.Request(wire.SubjectStat, nil, natstest.Patience)
	if err != nil || string(answer.Data) != "0 2 gw" {
		t.Errorf("%v, %v", answer, err)
	}
}

// A registration of several subjects leaves nothing behind if nats.go refuses one of them, or if they are too many.
func TestAllOrNone(t *testing.T) {
	b := newBench(t)
	_, s := b.page("user.held")
	if err := b.register(s, "user.1", "user.held", "user.2", "user..bad", "user.3"); err == nil {
		t.Error("no error")
	}
	long := make([]string, b.hub.options.MaxUsers)
	for i := range long {
		long[i] = fmt.Sprint("user.", i)
	}
	if err := b.register(s, long...); !errors.Is(err, ErrTooManyUsers) {
		t.Errorf("too long: %v", err)
	}
	if b.users() != 1 || b.hub.Users() != 1 {
		t.Errorf("%d subscriptions, %d users", b.users(), b.hub.Users())
	}
	if r, _ := b.emit(event("user.held", `["e"]`)); r.Sockets != 1 {
		t.Errorf("%+v", r)
	}
}

// A user's events keep their order even if its last socket goes and comes back, because the new subscription feeds the
// same worker.
func TestOrderAcrossSubscriptions(t *testing.T) {
	b := newBench(t)
	busy, release := make(chan struct{}), make(chan struct{})
	blocker := &flushes{onFlush: func() { close(busy); <-release }}
	if err := b.register(attach(blocker), "user.blocker"); err != nil {
		t.Fatal(err)
	}
	publish := func(subject, payload string) {
		if err := b.pub.Publish(subject, []byte(payload)); err != nil {
			t.Fatal(err)
		}
	}
	publish("user.blocker", `["e"]`)
	<-busy // one worker is blocked; the messages of its users wait

	var pages []*recorder
	for i := range 32 {
		user := fmt.Sprint("user.", i)
		page, s := b.page(user)
		pages = append(pages, page)
		publish(user, `["e",1]`)
		if err := b.pub.Flush(); err != nil {
			t.Fatal(err)
		}
		b.flush() // the message has arrived
		b.hub.Unregister(s, []string{user})
		if err := b.register(s, user); err != nil {
			t.Fatal(err)
		}
		publish(user, `["e",2]`)
	}
	close(release)
	for i, page := range pages {
		b.emit(event(fmt.Sprint("user.", i), `["fence"]`))
		heard := page.take()
		// The other workers may have handled the first ones while the user had no socket.
		if want := []string{`["e",1]`, `["e",2]`, `["fence"]`}; !slices.Equal(heard, want) && !slices.Equal(heard, want[1:]) {
			t.Errorf("user %d heard %q", i, heard)
		}
	}
}

// An event emitted in this process is delivered and counted, and gets a receipt, like one from NATS.
func TestEmit(t *testing.T) {
	b := newBench(t)
	one, _ := b.page("user.42")
	two, _ := b.page("user.42")
	two.full = true
	if n := emitHere(b.hub, "user.42", `["e"]`); n != 1 {
		t.Errorf("%d sockets took it", n)
	}
	if heard := one.take(); !slices.Equal(heard, []string{`["e"]`}) {
		t.Errorf("heard %q", heard)
	}
	if n := emitHere(b.hub, "user.43", `["e"]`); n != 0 {
		t.Errorf("%d sockets of nobody", n)
	}
	if got := counter(t, b.hub.options.Metrics.delivered, ""); got != 1 {
		t.Errorf("%v counted", got)
	}
	b.hub.Close()
	if n := emitHere(b.hub, "user.42", `["e"]`); n != 0 {
		t.Errorf("%d sockets of a hub that is closed", n)
	}
}

// Several goroutines emit to one user while some of its sockets come and go. All sockets that stay get the same events
// in the same order, the others a part of them in that order. The receipts count the events that were received.
func TestOneOrderForAllSockets(t *testing.T) {
	b := newBench(t)
	var pages []*recorder
	for range 2*batchSockets + 1 {
		page, _ := b.page("user.42")
		pages = append(pages, page)
	}
	const each = 500
	var counted atomic.Int64
	var emitters sync.WaitGroup
	for k := range 4 {
		emitters.Go(func() {
			for i := range each {
				payload := fmt.Sprintf(`["e",%d]`, k*each+i)
				var n int
				if k < 2 {
					r, _ := b.emit(event("user.42", payload))
					n = r.Sockets
				} else {
					n = emitHere(b.hub, "user.42", payload)
				}
				if counted.Add(int64(n)); n < len(pages) {
					t.Errorf("%d sockets took it", n)
				}
			}
		})
	}
	over := make(chan struct{})
	var guests []*recorder
	var churn sync.WaitGroup
	churn.Go(func() {
		for {
			select {
			case <-over:
				return
			default:
			}
			guest := &recorder{}
			guests = append(guests, guest)
			s := attach(guest)
			for range 3 {
				if _, err := b.hub.registry.add(s, []string{"user.42"}); err != nil {
					t.Error(err)
				}
				runtime.Gosched()
				b.hub.Unregister(s, []string{"user.42"})
			}
			b.hub.Detach(s)
		}
	})
	emitters.Wait()
	close(over)
	churn.Wait()

	first := pages[0].take()
	heard := int64(len(first))
	if len(first) != 4*each {
		t.Errorf("%d events heard", len(first))
	}
	for _, page := range pages[1:] {
		own := page.take()
		if heard += int64(len(own)); !slices.Equal(own, first) {
			t.Error("two sockets of one user disagree about the order")
		}
	}
	place := make(map[string]int)
	for i, e := range first {
		place[e] = i + 1
	}
	for _, guest := range guests {
		last := 0
		for _, e := range guest.take() {
			if heard++; place[e] <= last {
				t.Errorf("a guest hears %s twice or out of order", e)
			}
			last = place[e]
		}
	}
	if heard != counted.Load() {
		t.Errorf("%d heard, %d counted", heard, counted.Load())
	}
}
