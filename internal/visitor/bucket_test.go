package visitor

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func TestBucket(t *testing.T) {
	for _, rate := range []int{1, 4, 100, 1_000_000} {
		var b Bucket
		now := int64(time.Hour)
		for range 2 {
			taken := 0
			for b.Take(now, rate) == 0 {
				taken++
			}
			if want := 10 * rate; taken != want {
				t.Errorf("%d a second: %d at once, want %d", rate, taken, want)
			}
			between := time.Second / time.Duration(rate)
			if wait := b.Take(now, rate); wait != between {
				t.Errorf("%d a second: told to wait %v, want %v", rate, wait, between)
			}
			if b.Full(now) || b.Take(now+int64(between)-1, rate) == 0 {
				t.Errorf("%d a second: a token too early", rate)
			}
			now += int64(time.Second)
			for range rate {
				if b.Take(now, rate) != 0 {
					t.Errorf("%d a second: not after a second", rate)
				}
			}
			if b.Take(now, rate) == 0 {
				t.Errorf("%d a second: more than that after a second", rate)
			}
			now += int64(Burst) + int64(time.Second)
			if !b.Full(now) {
				t.Errorf("%d a second: not full again", rate)
			}
		}
	}
	var b Bucket
	for range 1_000_000 {
		if b.Take(1, 0) != 0 {
			t.Fatal("no limit limits")
		}
	}
	if !b.Full(1) {
		t.Error("no limit counts")
	}
}

// Tokens that are missing are taken on credit: the wait is the time until the bucket has earned them. More tokens than
// a full bucket has cost a full bucket.
func TestBucketOnCredit(t *testing.T) {
	const rate = 10 // a full bucket has 100
	now := int64(time.Hour)
	var b Bucket
	for _, c := range []struct {
		n    int
		want time.Duration
	}{{60, 0}, {40, 0}, {0, 0}, {1, 100 * time.Millisecond}, {9, time.Second}, {1000, 11 * time.Second}} {
		after, wait := b.After(now, rate, c.n)
		if wait != c.want {
			t.Errorf("%d tokens: told to wait %v, want %v", c.n, wait, c.want)
		}
		b = after
	}
	if _, wait := b.After(now+int64(11*time.Second), rate, 1); wait != 100*time.Millisecond {
		t.Errorf("when the debt is paid: told to wait %v for one token", wait)
	}
	if after, wait := Bucket(7).After(now, 0, 1000); after != 7 || wait != 0 {
		t.Error("no limit limits")
	}
}

// Borrow gives credit up to a bound, to each address by itself. Beyond the bound it takes nothing.
func TestBucketsOnCredit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, most = 10, 5 * time.Second
		var b Buckets
		one, other := netip.MustParseAddr("192.0.2.1"), netip.Addr{} // the zero address is one like any other
		for _, address := range []netip.Addr{one, other} {
			for i, want := range []time.Duration{0, most, most + 100*time.Millisecond, most + 100*time.Millisecond} {
				n := []int{100, 50, 1, 1}[i]
				if wait := b.Borrow(address, rate, n, most); wait != want {
					t.Errorf("%v, step %d: told to wait %v, want %v", address, i, wait, want)
				}
			}
		}
		time.Sleep(100 * time.Millisecond) // of the bubble's clock
		if wait := b.Borrow(one, rate, 1, most); wait != most {
			t.Errorf("a tenth of a second later: told to wait %v", wait)
		}
		if b.Len() != 2 {
			t.Errorf("%d buckets", b.Len())
		}
	})
}
