package eio

import (
	"testing"
	"time"
)

func TestBucket(t *testing.T) {
	for _, rate := range []int{1, 4, 100, 1_000_000} {
		var b bucket
		now := int64(time.Hour)
		for range 2 {
			taken := 0
			for b.take(now, rate) {
				taken++
			}
			if want := 10 * rate; taken != want {
				t.Errorf("%d a second: %d at once, want %d", rate, taken, want)
			}
			if b.full(now) || b.take(now+int64(time.Second)/int64(rate)-1, rate) {
				t.Errorf("%d a second: a token too early", rate)
			}
			now += int64(time.Second)
			for range rate {
				if !b.take(now, rate) {
					t.Errorf("%d a second: not after a second", rate)
				}
			}
			if b.take(now, rate) {
				t.Errorf("%d a second: more than that after a second", rate)
			}
			now += int64(burst) + int64(time.Second)
			if !b.full(now) {
				t.Errorf("%d a second: not full again", rate)
			}
		}
	}
	var b bucket
	for range 1_000_000 {
		if !b.take(1, 0) {
			t.Fatal("no limit limits")
		}
	}
	if !b.full(1) {
		t.Error("no limit counts")
	}
}
