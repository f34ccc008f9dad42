package visitor

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// An address has a bucket while that is not full. So very many addresses do not
// take memory for ever.
func TestBucketsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Buckets
		for i := range 2500 {
			if wait := b.Take(netip.MustParseAddr(fmt.Sprintf("2001:db8:%x:%x::", 1+i/256, i%256)), 100); wait != 0 {
				t.Fatalf("the %d. address has to wait for %v", i, wait)
			}
			time.Sleep(time.Millisecond)
			if n := b.Len(); n > minSweep {
				t.Fatalf("%d addresses are remembered", n)
			}
		}
	})
}

// A sweep keeps the buckets that are not full.
func TestBucketsAreOwed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Buckets
		owes := netip.MustParseAddr("198.51.100.1")
		for range 10 {
			b.Take(owes, 1)
		}
		if wait := b.Take(owes, 1); wait != time.Second {
			t.Errorf("the next token is to come after %v", wait)
		}
		for i := range minSweep + 100 {
			b.Take(netip.MustParseAddr(fmt.Sprintf("203.0.%d.%d", i/256, i%256)), 1)
		}
		if b.Take(owes, 1) == 0 {
			t.Error("a sweep has paid")
		}
	})
}

// Every socket of an address is counted, the address while it has some, and
// the limits can change while sockets are there.
func TestAdmission(t *testing.T) {
	a := NewAdmission(Limits{MaxSockets: 4, MaxSocketsPerAddress: 2})
	one, two := netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("2001:db8::")
	want := func(address netip.Addr, want Limit) {
		t.Helper()
		if got := a.Admit(address); got != want {
			t.Errorf("%v: %q, want %q", address, got, want)
		}
	}
	want(one, "")
	want(one, "")
	want(one, SocketsPerAddress)
	want(two, "")
	want(netip.Addr{}, "")
	want(two, Sockets)
	want(netip.Addr{}, Sockets)
	a.SetLimits(Limits{MaxSocketsPerAddress: 3})
	want(one, "")
	want(one, SocketsPerAddress)
	for _, address := range []netip.Addr{one, one, one, two, {}} {
		a.Release(address)
	}
	if sockets, addresses := a.Sockets(); sockets != 0 || addresses != 0 {
		t.Errorf("%d sockets of %d addresses are left", sockets, addresses)
	}
}

// A limit that is out of range is an error that names its flag.
func TestLimits(t *testing.T) {
	if err := DefaultLimits().Validate(); err != nil {
		t.Error(err)
	}
	for _, l := range []Limits{{MaxSockets: -1}, {MaxSocketsPerAddress: -1}, {MaxHandshakesPerAddress: 1_000_001}} {
		if err := l.Validate(); err == nil {
			t.Errorf("%+v is taken", l)
		}
	}
}
