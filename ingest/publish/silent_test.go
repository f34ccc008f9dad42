package publish

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// checkSilent fails unless p.silent holds exactly the receivers without an answer of the emits that wait.
func checkSilent(t *testing.T, p *pendingEmits) {
	t.Helper()
	want, got := map[*receiver]bool{}, map[*receiver]bool{}
	for _, e := range p.emits {
		for i := range e.receivers {
			r := &e.receivers[i]
			if r.heard == heardNothing && r.subject != "" {
				want[r] = true
			} else if r.next != nil || r.previous != nil {
				t.Fatalf("receiver %q keeps its links", r.subject)
			}
		}
	}
	for subject, r := range p.silent.first {
		if r.previous != nil {
			t.Fatalf("the first receiver of %q has one before it", subject)
		}
		for ; r != nil; r = r.next {
			if r.subject != subject || r.next != nil && r.next.previous != r {
				t.Fatalf("receiver %q is in the list of %q, or its links are broken", r.subject, subject)
			}
			got[r] = true
		}
	}
	if !maps.Equal(got, want) {
		t.Fatalf("%d receivers are in the index, want %d", len(got), len(want))
	}
}

// After any sequence of emits, answers, messages that a user was given up, and ends, the index holds exactly the
// receivers that wait for their first answer.
func TestSilentReceivers(t *testing.T) {
	subjects := []string{"", "user.a", "user.b", "user.c", "user.d"}
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 0))
		p := newPendingEmits()
		anyAnswer := func() answer {
			return answer{noResponders: random.IntN(3) == 0, sockets: random.IntN(2), unstable: random.IntN(2) == 0}
		}
		for range 200 {
			switch random.IntN(5) {
			case 0, 1:
				to := make([]string, random.IntN(6))
				for i := range to {
					to[i] = subjects[random.IntN(len(subjects))]
				}
				p.begin(to, Policy(random.IntN(2)), nil)
			case 2:
				p.answer(random.Uint64N(p.last+2), random.IntN(7), anyAnswer(), random.IntN(4) == 0)
			case 3:
				p.givenUp([]byte(subjects[random.IntN(len(subjects))]), answer{})
			case 4:
				for number := range p.emits {
					_, _ = p.end(number, random.IntN(2) == 0, nil)
					break
				}
			}
			checkSilent(t, p)
		}
		for number := range p.emits {
			_, _ = p.end(number, true, nil)
		}
		if checkSilent(t, p); len(p.silent.first) != 0 || len(p.emits) != 0 {
			t.Fatalf("seed %d: %d subjects and %d emits are left", seed, len(p.silent.first), len(p.emits))
		}
	}
}

// receivers returns the subjects of an emit to n users whom no other emit names.
func receivers(emit, n int) []string {
	subjects := make([]string, n)
	for i := range subjects {
		subjects[i] = fmt.Sprintf("user.%d-%d", emit, i)
	}
	return subjects
}

// The message that a user was given up costs no time for the receivers of other subjects. 200 emits wait for 1,000
// receivers each. Walking them took 0.7 ms a message, and several times as much under the race detector.
func TestGivenUpAmongManyReceivers(t *testing.T) {
	const messages, most = 2000, 200 * time.Millisecond
	p := newPendingEmits()
	for i := range 200 {
		p.begin(receivers(i, 1000), FirstReceipt, nil)
	}
	began := time.Now()
	for range messages {
		p.givenUp([]byte("user.another"), answer{})
	}
	if took := time.Since(began); took > most {
		t.Errorf("%d messages took %v", messages, took)
	}
}

// heap returns how many bytes live in the heap.
func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// What waited leaves nothing behind: neither the index of 80,000 receivers nor emits that ended unconfirmed.
func TestPendingEmitsLeaveNothing(t *testing.T) {
	const most, each = 1 << 20, 400
	before := heap()
	p := newPendingEmits()
	for range 5 {
		for i := range 200 {
			p.begin(receivers(i, each), FirstReceipt, nil)
		}
		for number := range p.emits {
			_, _ = p.end(number, true, nil)
		}
	}
	if len(p.expired) != rememberedEmits {
		t.Errorf("%d emits are remembered", len(p.expired))
	}
	if left := heap() - before; left > most {
		t.Errorf("%d bytes are left", left)
	}
	runtime.KeepAlive(p)
}

// What an emit costs besides its messages: from its begin to its end, with a receipt for each receiver.
func BenchmarkPendingEmit(b *testing.B) {
	for _, n := range []int{1, 10, 1000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			p, subjects := newPendingEmits(), receivers(0, n)
			b.ReportAllocs()
			for b.Loop() {
				number, _ := p.begin(subjects, AllReceivers, nil)
				for i := range subjects {
					p.answer(number, i, answer{sockets: 1}, false)
				}
				if _, err := p.end(number, false, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkGivenUp(b *testing.B) {
	p := newPendingEmits()
	for i := range 200 {
		p.begin(receivers(i, 1000), FirstReceipt, nil)
	}
	subject := []byte("user." + strings.Repeat("x", 10))
	for b.Loop() {
		p.givenUp(subject, answer{})
	}
}
