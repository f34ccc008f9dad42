package publish

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/wire"
)

// The outcome of an emit to several receivers follows from the answers for each one.
func TestOutcomes(t *testing.T) {
	b := newBench(t)
	quick, patient := newPublisher(t, b.server.ClientURL()), newPublisher(t, b.server.ClientURL())
	patient.Bound = natstest.Patience
	b.gw.Holds("held", 2)
	for _, id := range []string{"left1", "left2", "left3", "left4"} {
		b.gw.Leaves(id)
	}
	b.gw.Holds("zero", 0)
	b.gw.Holds("silent", -1)
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
		{"left4 silent", false, ErrUnconfirmed, true},
		{"nobody silent", false, ErrUnconfirmed, true},
		{"zero silent", false, ErrUnconfirmed, true},
	} {
		t.Run(c.ids, func(t *testing.T) {
			t.Parallel()
			p := patient // a known outcome is returned before the bound
			if c.waits {
				p = quick
			}
			began := time.Now()
			reached, err := emit(p, strings.Fields(c.ids), "e", "1")
			if reached != c.reached || !errors.Is(err, c.err) {
				t.Errorf("%v, %v; want %v, %v", reached, err, c.reached, c.err)
			}
			if took := time.Since(began); c.waits && took < Bound || took >= natstest.Patience {
				t.Errorf("took %v", took)
			}
		})
	}
}

// Any program on NATS can publish anything to a reply subject. That never counts as a receipt of another emit or
// receiver, and never ends the process.
func TestForgedReceipts(t *testing.T) {
	b := newBench(t)
	p := newPublisher(t, b.server.ClientURL())
	b.gw.On("user.42", func(m *nats.Msg) {
		number, _, _ := strings.Cut(strings.TrimPrefix(m.Reply, string(p.bus.inbox)), ".")
		for _, tail := range []string{number + ".-1", number + ".1", number + ".2", number + ".x", number + ".0.0", number + ".99999999999999999999", number, "0.0", "-1.0", "zzzzzzzzzzzzzzzz.0", "x y.0"} {
			_ = b.gw.Publish(string(p.bus.inbox)+tail, []byte("1 forged"))
		}
		for _, answer := range []string{"", "1", "-1 gw", "+1", "1e3 gw", " 1 gw", "99999999999999999999 gw", "OK"} {
			_ = m.Respond([]byte(answer))
		}
		_ = m.RespondMsg(&nats.Msg{Header: nats.Header{"Status": {"404"}}})
	})
	if reached, err := emit(p, []string{"42", ""}, "e", "1"); reached || !errors.Is(err, ErrUnconfirmed) {
		t.Errorf("%v, %v", reached, err)
	}
	// All are counted, except one for an ended request and one whose subject is invalid.
	if got := counted(t, p.bus.collector.metrics.malformed); got != 9+8+1 {
		t.Errorf("%v are counted", got)
	}
}

// A receipt that arrives after the end of its emit is counted as late, and not used for a later emit.
func TestLateReceipts(t *testing.T) {
	b := newBench(t)
	p := newPublisher(t, b.server.ClientURL())
	replies := make(chan string, 2)
	b.gw.On("user.42", func(m *nats.Msg) { replies <- m.Reply })
	if _, err := emit(p, []string{"42"}, "e", "1"); !errors.Is(err, ErrUnconfirmed) {
		t.Fatal(err)
	}
	late := <-replies
	outcome := make(chan error, 1)
	go func() {
		reached, err := emit(p, []string{"42"}, "e", "2")
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
	if err := <-outcome; !errors.Is(err, ErrUnconfirmed) {
		t.Errorf("the second emit: %v", err)
	}
	natstest.Await(t, "late receipt", func() bool { return counted(t, p.bus.collector.metrics.late) == 1 })
	for range rememberedEmits + 10 {
		number, _ := p.bus.pending.begin([]string{"user.42"}, FirstReceipt, nil)
		if _, err := p.bus.pending.end(number, true, nil); !errors.Is(err, ErrUnconfirmed) {
			t.Fatal(err)
		}
	}
	if n, oldest := len(p.bus.pending.expired), len(p.bus.pending.oldest); n != rememberedEmits || oldest != n || len(p.bus.pending.emits) != 0 {
		t.Errorf("%d emits are remembered, %d in order, and %d are kept", n, oldest, len(p.bus.pending.emits))
	}
}

// An emit gets no answer from a gateway that unsubscribes while the emit is under way. The gateway's message on
// doit.left counts as a receipt of zero sockets, for that user only.
func TestAUserWhoWasGivenUpIsNobody(t *testing.T) {
	b := newBench(t)
	p := newPublisher(t, b.server.ClientURL())
	p.Bound = natstest.Patience
	sub, err := b.gw.Subscribe("user.42", func(m *nats.Msg) {
		_ = m.Sub.Unsubscribe()
		_ = b.gw.Publish(wire.SubjectLeft, []byte("user.42"))
	})
	if err != nil {
		t.Fatal(err)
	}
	b.gw.On("user.43", func(*nats.Msg) { _ = b.gw.Publish(wire.SubjectLeft, []byte("user.4")) })
	if reached, err := emit(p, []string{"42"}, "e", "1"); reached || err != nil {
		t.Errorf("%v, %v", reached, err)
	}
	if sub.IsValid() {
		t.Error("it was not asked")
	}
	p.Bound = Bound
	if reached, err := emit(p, []string{"43"}, "e", "1"); reached || !errors.Is(err, ErrUnconfirmed) {
		t.Errorf("another: %v, %v", reached, err)
	}
}

// After a receipt of zero the publisher sends count requests. A count above zero is no receipt, because the socket may
// have registered after the event.
func TestACountIsNoReceipt(t *testing.T) {
	b := newBench(t)
	p := newPublisher(t, b.server.ClientURL())
	p.bus.recount = 10 * time.Millisecond
	asked := make(chan struct{}, 1000)
	b.gw.On("user.42", func(m *nats.Msg) {
		if m.Header.Get(wire.HeaderOp) == wire.OpCount {
			asked <- struct{}{}
			_ = m.Respond([]byte("1 gw"))
			return
		}
		_ = m.Respond([]byte("0 gw"))
	})
	if reached, err := emit(p, []string{"42"}, "e", "1"); reached || err != nil {
		t.Errorf("%v, %v", reached, err)
	}
	if len(asked) < 2 {
		t.Errorf("asked %d times in a second", len(asked))
	}
}

// The receipt of a gateway that has unsubscribed since is used even if it arrives after another gateway's zero: it
// arrives before the publisher concludes that nobody is connected.
func TestAReceiptBehindAZero(t *testing.T) {
	b := newBench(t)
	p := newPublisher(t, b.server.ClientURL())
	p.Bound, p.bus.recount = natstest.Patience, natstest.Patience/2
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
	hold(b.gw.Conn, func(m *nats.Msg) { <-left; _ = b.gw.Publish(m.Reply, []byte("0 gw")) })
	hold(other, func(m *nats.Msg) {
		close(left)
		time.AfterFunc(100*time.Millisecond, func() { _ = other.Publish(m.Reply, []byte("1 other")) })
	})
	if reached, err := emit(p, []string{"42"}, "e", "1"); !reached || err != nil {
		t.Errorf("%v, %v", reached, err)
	}
}

// Each of 2,000 concurrent emits gets its own outcome.
func TestConcurrentEmits(t *testing.T) {
	const emits = 2000
	b := newBench(t)
	p := newPublisher(t, b.server.ClientURL())
	p.Bound = 3 * time.Second // receivers with zeros wait for it; receipts may take long on a busy machine
	b.gw.On("user.*", func(m *nats.Msg) {
		n, _ := strconv.Atoi(strings.TrimPrefix(m.Subject, "user."))
		if n%3 != 0 { // the others answer with zero
			n = 0
		}
		_ = m.Respond(wire.Receipt{Sockets: n, Node: "gw"}.Append(nil))
	})
	var all sync.WaitGroup
	for n := 1; n <= emits; n++ {
		all.Go(func() {
			reached, err := emit(p, []string{strconv.Itoa(n)}, "e", "1")
			if err != nil || reached != (n%3 == 0) {
				t.Errorf("emit %d: %v, %v", n, reached, err)
			}
		})
	}
	all.Wait()
}
