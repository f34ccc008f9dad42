package visitor

import (
	"encoding/binary"
	"math"
	"net/netip"
	"testing"
	"time"
)

// The count of an address grows by what it spends, and falls by e within Burst. At a steady rate it is what the address
// spends within Burst.
func TestSpending(t *testing.T) {
	var s Spending
	one, other := netip.MustParseAddr("192.0.2.1"), netip.Addr{}
	near := func(address netip.Addr, now int64, want float64) {
		t.Helper()
		if got := s.Of(address, now); math.Abs(got-want) > 0.01+want/100 {
			t.Errorf("%v has spent %.1f, want %.1f", address, got, want)
		}
	}
	now := int64(time.Hour)
	near(one, now, 0)
	s.Add(one, now, 100)
	s.Add(one, now, 0)
	near(one, now, 100)
	near(other, now, 0)
	now += int64(Burst)
	near(one, now, 100/math.E)
	for range 1000 {
		s.Add(other, now, 5) // 50 a second
		now += int64(time.Second) / 10
	}
	near(other, now, 500)
	near(one, now, 0)
}

// Addresses that spend little are forgotten, however many come.
func TestSpendingIsBounded(t *testing.T) {
	var s Spending
	now := int64(time.Hour)
	great := netip.MustParseAddr("2001:db8::")
	s.Add(great, now, 1000)
	for i := range uint64(100_000) {
		var a [16]byte
		binary.BigEndian.PutUint64(a[:], i)
		s.Add(netip.AddrFrom16(a), now, leastSpending-1)
		if len(s.addresses) > minSweep {
			t.Fatalf("%d addresses are kept", len(s.addresses))
		}
	}
	if s.Of(great, now) != 1000 {
		t.Error("an address that has spent much is forgotten")
	}
}
