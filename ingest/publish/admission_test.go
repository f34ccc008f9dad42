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
	a := newAdmission(1024, prometheus.NewRegistry())
	for i, want := range []int{512, 256, 128, 64} {
		if got := greedy(a, address(byte(i))); got != want {
			t.Errorf("address %d got %d, want %d", i, got, want)
		}
	}
	if got := counted(t, a.refused[refusedAddress]); got != 4 {
		t.Errorf("%v are counted for their addresses", got)
	}
	for i := byte(4); a.running < 1024; i++ {
		if got := greedy(a, address(i)); got == 0 {
			t.Fatalf("address %d got nothing, though %d run", i, a.running)
		}
	}
	if a.enter(address(200)) || counted(t, a.refused[refusedAll]) == 0 {
		t.Error("one more than the limit, or it is not counted")
	}
	for from := range a.shares {
		for a.shares[from] > 0 {
			a.leave(from)
		}
	}
	if a.running != 0 || len(a.shares) != 0 {
		t.Errorf("%d run, %d addresses are remembered", a.running, len(a.shares))
	}
}

// Addresses that go on asking for more than they get have equal shares in the end, and one share is free.
func TestAdmissionConverges(t *testing.T) {
	const addresses = 3
	a := newAdmission(1000, prometheus.NewRegistry())
	for range 10_000 {
		for i := range byte(addresses) {
			if a.shares[address(i)] > 0 {
				a.leave(address(i)) // one of its emits has its answer
			}
			greedy(a, address(addresses-1-i))
		}
	}
	for i := range byte(addresses) {
		if got := a.shares[address(i)]; got < 240 || got > 260 {
			t.Errorf("address %d has %d", i, got)
		}
	}
	if got := greedy(a, address(100)); got < 120 {
		t.Errorf("the next one got %d", got)
	}
}

// The least limit lets one emit run. Zero is no limit.
func TestAdmissionAtItsEnds(t *testing.T) {
	if got := greedy(newAdmission(1, prometheus.NewRegistry()), address(1)); got != 1 {
		t.Errorf("%d run, want 1", got)
	}
	unlimited := newAdmission(0, prometheus.NewRegistry())
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
