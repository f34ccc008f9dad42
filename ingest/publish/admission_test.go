package publish

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/internal/natstest"
)

func address(n byte) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, n}) }

// greedy enters for an address as often as it may.
func greedy(a *admission, from netip.Addr) (entered int) {
	for a.enter(from) {
		entered++
	}
	return entered
}

// One address gets half, and leaves something for the next one. Together they never exceed the limit.
func TestAdmission(t *testing.T) {
	a := newAdmission(Config{MaxEmits: 1024}, prometheus.NewRegistry())
	for i, want := range []int{512, 256, 128, 64} {
		if got := greedy(a, address(byte(i))); got != want {
			t.Errorf("address %d got %d, want %d", i, got, want)
		}
	}
	if got := counted(t, a.refused[refusedAddress]); got != 4 {
		t.Errorf("%v are counted for their addresses", got)
	}
	for i := byte(4); a.all.emits < 1024; i++ {
		if got := greedy(a, address(i)); got == 0 {
			t.Fatalf("address %d got nothing, though %d run", i, a.all.emits)
		}
	}
	if a.enter(address(200)) || counted(t, a.refused[refusedAll]) == 0 {
		t.Error("one more than the limit, or it is not counted")
	}
	for from := range a.shares {
		for a.shares[from].emits > 0 {
			a.leave(from, 0)
		}
	}
	if a.all.emits != 0 || len(a.shares) != 0 {
		t.Errorf("%d run, %d addresses are remembered", a.all.emits, len(a.shares))
	}
}

// Addresses that go on asking for more than they get have equal shares in the end, and one share is free.
func TestAdmissionConverges(t *testing.T) {
	const addresses = 3
	a := newAdmission(Config{MaxEmits: 1000}, prometheus.NewRegistry())
	for range 10_000 {
		for i := range byte(addresses) {
			if a.shares[address(i)].emits > 0 {
				a.leave(address(i), 0) // one of its emits has its answer
			}
			greedy(a, address(addresses-1-i))
		}
	}
	for i := range byte(addresses) {
		if got := a.shares[address(i)].emits; got < 240 || got > 260 {
			t.Errorf("address %d has %d", i, got)
		}
	}
	if got := greedy(a, address(100)); got < 120 {
		t.Errorf("the next one got %d", got)
	}
}

// The bytes of emits that run are shared by the same rule. An emit that is refused leaves nothing.
func TestAdmissionOfBytes(t *testing.T) {
	a := newAdmission(Config{MaxEmitBytes: 64 * smallPart}, prometheus.NewRegistry())
	for _, c := range []struct {
		from  byte
		bytes int64
		want  bool
	}{{1, 64, true}, {1, 1, false}, {2, 64, false}, {2, 33, false}, {2, 32, true}, {3, 16, true}, {3, 1, false}} {
		a.enter(address(c.from))
		if !a.enter(address(c.from)) || !a.carry(address(c.from), 64) { // small: a 1,024th of a largest one
			t.Errorf("%+v: a small one is refused", c)
		}
		a.leave(address(c.from), 64)
		if got := a.carry(address(c.from), c.bytes*smallPart); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
		if !c.want {
			a.leave(address(c.from), 0)
		}
	}
	a.leave(address(1), 64*smallPart)
	a.leave(address(2), 32*smallPart)
	a.leave(address(3), 16*smallPart)
	if a.all != (share{}) || len(a.shares) != 0 {
		t.Errorf("%+v is left, of %d addresses", a.all, len(a.shares))
	}
}

// The least limit lets one emit run. Zero is no limit.
func TestAdmissionAtItsEnds(t *testing.T) {
	if got := greedy(newAdmission(Config{MaxEmits: 1}, prometheus.NewRegistry()), address(1)); got != 1 {
		t.Errorf("%d run, want 1", got)
	}
	unlimited := newAdmission(Config{}, prometheus.NewRegistry())
	for range 10_000 {
		if !unlimited.enter(address(1)) {
			t.Fatal("refused without a limit")
		}
	}
}

// An emit beyond --max-emits is refused at once and sent to nobody. When the others have ended, emits are taken again.
func TestMaxEmits(t *testing.T) {
	b := newBench(t)
	p := newPublisher(t, b.server.ClientURL())
	p.Bound = natstest.Patience
	p.admission.most = 4
	b.gw.Holds("silent", -1)
	b.gw.Holds("u", 1)
	ctx, cancel := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	for _, from := range []byte{1, 1, 2} {
		waiting.Go(func() {
			_, _ = p.Publish(ctx, Emit{To: []string{"silent"}, Event: "e", From: address(from)}, FirstReceipt)
		})
		<-b.gw.Heard
	}
	try := func(from byte) error {
		began := time.Now()
		outcomes, err := p.Publish(t.Context(), Emit{To: []string{"u"}, Event: "e", From: address(from)}, FirstReceipt)
		if err != nil && (outcomes != nil || time.Since(began) > natstest.Patience/2) {
			t.Errorf("refused with %v after %v", outcomes, time.Since(began))
		}
		return err
	}
	for _, from := range []byte{1, 2} {
		if err := try(from); !errors.Is(err, ErrBusy) {
			t.Errorf("one more of address %d: %v", from, err)
		}
	}
	if err := try(3); err != nil {
		t.Errorf("the first of another address: %v", err)
	}
	if n := len(b.gw.Heard); n != 1 {
		t.Errorf("heard %d events", n)
	}
	cancel()
	waiting.Wait()
	if err := try(1); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if got := p.admission.count(); got != 0 {
		t.Errorf("%v run", got)
	}
}

// An emit whose bytes are refused is sent to nobody, and no longer counts. It is refused before its data is looked at.
func TestEmitBytesAtOnce(t *testing.T) {
	b := newBench(t)
	p := newPublisher(t, b.server.ClientURL())
	p.Bound = natstest.Patience
	p.admission.mostBytes = 3 * int64(len(`e1`))
	b.gw.Holds("silent", -1)
	b.gw.Holds("u", 1)
	ctx, cancel := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	waiting.Go(func() {
		_, _ = p.Publish(ctx, Emit{To: []string{"silent"}, Event: "e", Args: [][]byte{[]byte("1")}}, FirstReceipt)
	})
	<-b.gw.Heard
	if _, err := emit(p, []string{"u"}, "e", "{"); !errors.Is(err, ErrBusy) || len(b.gw.Heard) != 0 || p.admission.count() != 1 {
		t.Errorf("%v, heard %d, %v run", err, len(b.gw.Heard), p.admission.count())
	}
	if err := p.MayPublish(netip.Addr{}, 2); !errors.Is(err, ErrBusy) {
		t.Errorf("a large one: %v", err)
	}
	p.admission.small = 2
	if err := p.MayPublish(netip.Addr{}, 2); err != nil {
		t.Errorf("a small one: %v", err)
	}
	p.admission.small = 0
	cancel()
	waiting.Wait()
	if err := p.MayPublish(netip.Addr{}, 1); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if _, err := emit(p, []string{"u"}, "e", "1"); err != nil || p.admission.all != (share{}) {
		t.Errorf("afterwards: %v, %+v", err, p.admission.all)
	}
}
