package publish

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/wire"
)

// An invalid emit is not sent to any receiver, even if only one id is invalid.
func TestInvalidEmits(t *testing.T) {
	b := newBench(t)
	p := newPublisher(t, b.server.ClientURL())
	b.gw.Holds("u", 1)
	for _, c := range []struct {
		emit Emit
		want error
	}{
		{Emit{To: []string{"u", strings.Repeat("x", wire.MaxID+1)}, Event: "e"}, wire.ErrID},
		{Emit{To: []string{"u"}, Event: "e", Project: "a.b"}, wire.ErrProject},
		{Emit{To: []string{"u"}, Event: "connect"}, wire.ErrEvent},
		{Emit{To: []string{"u"}, Event: "e", Args: [][]byte{[]byte("1"), []byte("{")}}, wire.ErrData},
		{Emit{To: make([]string, wire.MaxReceivers+1), Event: "e"}, ErrReceivers},
		{Emit{To: append(slices.Repeat([]string{"u"}, wire.MaxRepeats), "v", "u"), Event: "e"}, ErrRepeats},
	} {
		if outcomes, err := p.Publish(t.Context(), c.emit, FirstReceipt); outcomes != nil || !errors.Is(err, c.want) {
			t.Errorf("%v, %v; want %v", outcomes, err, c.want)
		}
	}
	if reached, err := emit(p, []string{"u"}, "fence", "1"); !reached || err != nil {
		t.Errorf("%v, %v", reached, err)
	}
	if m := <-b.gw.Heard; string(m.Data) != `["fence",1]` {
		t.Errorf("heard %s", m.Data)
	}
}

// An emit carries its project, all of its arguments and its option.
func TestWhatIsPublished(t *testing.T) {
	b := newBench(t)
	p := newPublisher(t, b.server.ClientURL())
	heard := make(chan *nats.Msg, 1)
	b.gw.On("app.shop.user.*", func(m *nats.Msg) { heard <- m; _ = m.Respond([]byte("1 gw")) })
	e := Emit{Project: "shop", To: []string{"a.b"}, Event: "e", Args: [][]byte{[]byte(`{"b":1.0}`), []byte(`2`)}, Except: "socket"}
	if outcomes, err := p.Publish(t.Context(), e, FirstReceipt); !slices.Equal(outcomes, []Outcome{{Reached, 1}}) || err != nil {
		t.Fatalf("%v, %v", outcomes, err)
	}
	m := <-heard
	if m.Subject != "app.shop.user.=YS5i" || string(m.Data) != `["e",{"b":1.0},2]` || m.Header.Get(wire.HeaderExcept) != "socket" {
		t.Errorf("%s %s %v", m.Subject, m.Data, m.Header)
	}
}

// An id that is listed 16 times gets the event 16 times. Empty ids are none.
func TestRepeats(t *testing.T) {
	b := newBench(t)
	p := newPublisher(t, b.server.ClientURL())
	b.gw.Holds("u", 1)
	ids := slices.Concat(slices.Repeat([]string{"u"}, wire.MaxRepeats), make([]string, wire.MaxRepeats+1))
	got, err := p.Publish(t.Context(), Emit{To: ids, Event: "e"}, AllReceivers)
	reached := slices.Repeat([]Outcome{{Reached, 1}}, wire.MaxRepeats)
	if want := slices.Concat(reached, slices.Repeat([]Outcome{{State: Nobody}}, wire.MaxRepeats+1)); !slices.Equal(got, want) || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	if len(b.gw.Heard) != wire.MaxRepeats {
		t.Errorf("heard %d times", len(b.gw.Heard))
	}
}

// The event, once for each receiver, has --max-emit-bytes at most. Nothing of a larger emit is sent.
func TestMaxEmitBytes(t *testing.T) {
	b := newBench(t)
	p := newPublisher(t, b.server.ClientURL())
	p.config.MaxEmitBytes = 3 * int64(len(`["e",1234]`))
	b.gw.Holds("u", 1)
	for _, c := range []struct {
		ids  []string
		data string
		err  error
	}{
		{[]string{"u", "", "u", "u"}, "1234", nil},
		{[]string{"u", "", "u", "u"}, "12345", ErrEmitBytes},
		{[]string{"u", "u", "u", "u"}, "1234", ErrEmitBytes},
		{[]string{"u", "u", "u", "u"}, "{not JSON, and not looked at", ErrEmitBytes},
		{[]string{"u"}, "12345678901234567890", nil},
	} {
		if _, err := emit(p, c.ids, "e", c.data); !errors.Is(err, c.err) {
			t.Errorf("%q, %s: %v, want %v", c.ids, c.data, err, c.err)
		}
	}
	if _, err := emit(p, []string{"u"}, "fence", "1"); err != nil {
		t.Error(err)
	}
	if len(b.gw.Heard) != 3+1+1 {
		t.Errorf("heard %d times", len(b.gw.Heard))
	}
}

// A message above max_payload has another error than one that cannot be published now.
func TestTooLargeForNATS(t *testing.T) {
	s := natstest.Start(t, natstest.MaxPayload(1024))
	p := newPublisher(t, s.ClientURL())
	natstest.Await(t, "connection", p.bus.nc.IsConnected)
	if _, err := emit(p, []string{"u"}, "e", `"`+strings.Repeat("x", 2000)+`"`); !errors.Is(err, ErrTooLarge) || unavailable(err) {
		t.Errorf("%v", err)
	}
}

// AllReceivers waits for each receiver, and adds up the receipts that have arrived by then.
func TestAllReceivers(t *testing.T) {
	b := newBench(t)
	quick, patient := newPublisher(t, b.server.ClientURL()), newPublisher(t, b.server.ClientURL())
	patient.Bound = natstest.Patience
	b.gw.Holds("held", 2)
	b.gw.Leaves("left")
	b.gw.Holds("zero", 0)
	b.gw.Holds("silent", -1)
	answer := make(chan *nats.Msg, 1)
	b.gw.On("user.slow", func(m *nats.Msg) {
		_ = m.Respond([]byte("3 gw")) // the first gateway
		answer <- m
	})
	b.gw.On("user.slower", func(m *nats.Msg) { // the second gateway, after all others
		_ = (<-answer).Respond([]byte("4 other"))
		_ = m.Respond([]byte("1 gw"))
	})
	reached := func(n int) Outcome { return Outcome{Reached, n} }
	nobody, unknown := Outcome{State: Nobody}, Outcome{State: NotKnown}
	for _, c := range []struct {
		ids  string
		want []Outcome
		err  error
	}{
		{"held", []Outcome{reached(2)}, nil},
		{"nobody held", []Outcome{nobody, reached(2)}, nil},
		{"held nobody held", []Outcome{reached(2), nobody, reached(2)}, nil},
		{"held left", []Outcome{reached(2), nobody}, nil},
		{"slow slower", []Outcome{reached(7), reached(1)}, nil},
		{"held zero", []Outcome{reached(2), nobody}, nil},
		{"held silent nobody zero", []Outcome{reached(2), unknown, nobody, nobody}, ErrUnconfirmed},
	} {
		t.Run(c.ids, func(t *testing.T) {
			p := patient // a known outcome is returned before the bound
			if strings.Contains(c.ids, "zero") || strings.Contains(c.ids, "silent") {
				p = quick
			}
			e := Emit{To: append(strings.Fields(c.ids), ""), Event: "e"}
			got, err := p.Publish(t.Context(), e, AllReceivers)
			if want := slices.Concat(c.want, []Outcome{nobody}); !slices.Equal(got, want) || !errors.Is(err, c.err) {
				t.Errorf("%v, %v; want %v, %v", got, err, want, c.err)
			}
		})
	}
}

// The first receipt ends the wait. Receivers without a final answer are then NotKnown.
func TestFirstReceiptLeavesTheOthersUnknown(t *testing.T) {
	b := newBench(t)
	p := newPublisher(t, b.server.ClientURL())
	p.Bound = natstest.Patience
	zero := make(chan *nats.Msg, 1)
	b.gw.On("user.zero", func(m *nats.Msg) { _ = m.Respond([]byte("0 gw")); zero <- m })
	b.gw.Holds("silent", -1)
	b.gw.On("user.held", func(m *nats.Msg) { <-zero; _ = m.Respond([]byte("1 gw")) })
	got, err := p.Publish(t.Context(), Emit{To: []string{"zero", "silent", "held", "nobody"}, Event: "e"}, FirstReceipt)
	if err != nil || len(got) != 4 || got[0].State != NotKnown || got[1].State != NotKnown || got[2] != (Outcome{Reached, 1}) {
		t.Errorf("%v, %v", got, err)
	}
}

// An emit ends with its context. Messages already sent are delivered.
func TestTheContextEnds(t *testing.T) {
	b := newBench(t)
	p := newPublisher(t, b.server.ClientURL())
	p.Bound = natstest.Patience
	b.gw.Holds("silent", -1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-b.gw.Heard; cancel() }()
	got, err := p.Publish(ctx, Emit{To: []string{"silent"}, Event: "e"}, FirstReceipt)
	if !slices.Equal(got, []Outcome{{}}) || !errors.Is(err, ErrUnconfirmed) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", got, err)
	}
}

// Nothing is sent for an emit whose context has ended, not even if the sender is ready for it.
func TestNothingIsSentAfterTheEnd(t *testing.T) {
	b := newBench(t)
	p := newPublisher(t, b.server.ClientURL())
	b.gw.Holds("u", 1)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 { // select would choose the sender half of the time
		if _, err := p.Publish(ended, Emit{To: []string{"u", "u"}, Event: "e"}, FirstReceipt); !errors.Is(err, ErrUnconfirmed) {
			t.Errorf("%v", err)
		}
	}
	p.Bound = 0
	for range 20 {
		if _, err := p.Publish(t.Context(), Emit{To: []string{"u", "u"}, Event: "e"}, FirstReceipt); !errors.Is(err, ErrUnconfirmed) {
			t.Errorf("%v", err)
		}
	}
	p.Bound = Bound
	if _, err := emit(p, []string{"u"}, "fence", "1"); err != nil {
		t.Error(err)
	}
	if m := <-b.gw.Heard; string(m.Data) != `["fence",1]` {
		t.Errorf("heard %s", m.Data)
	}
}

// A failed Start leaves nothing running. Close may be called before Start, and twice.
func TestStartAndClose(t *testing.T) {
	s := natstest.Start(t)
	nc := natstest.Connect(t, s)
	unused := New(Config{}, nc, prometheus.NewRegistry())
	if n := nc.NumSubscriptions(); n != 0 {
		t.Errorf("New subscribed %d times", n)
	}
	unused.Close()
	used := New(Config{}, nc, prometheus.NewRegistry())
	if err := used.Start(); err != nil || nc.NumSubscriptions() != 3 {
		t.Fatalf("%v, %d subscriptions", err, nc.NumSubscriptions())
	}
	changes := used.bus.stability.changes
	used.Close()
	used.Close()
	select {
	case _, open := <-changes:
		if open {
			t.Error("Close lets the status listener wait for more")
		}
	default:
		t.Error("Close keeps the status listener")
	}
	if n := nc.NumSubscriptions(); n != 0 {
		t.Errorf("%d subscriptions after Close", n)
	}
	nc.Close()
	failing := New(Config{}, nc, prometheus.NewRegistry())
	if err := failing.Start(); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("%v", err)
	}
	if failing.bus.closing.Err() == nil || failing.bus.stability.changes != nil {
		t.Error("a failed Start is not undone")
	}
	failing.Close()
}
