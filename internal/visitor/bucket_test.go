package visitor

import (
	"testing"
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
