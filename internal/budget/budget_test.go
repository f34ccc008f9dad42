package budget

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func TestBudget(t *testing.T) {
	b := New(1600)
	if !b.Take(1600) || b.Take(1) || b.Refused() != 1 || b.Used() != 1600 {
		t.Errorf("%d of %d used, %d refused", b.Used(), b.Limit(), b.Refused())
	}
	<-b.Over()
	b.Add(100)
	b.Add(100)
	<-b.Over()
	select {
	case <-b.Over():
		t.Error("told twice at once")
	default:
	}
	if b.Excess() != 300 {
		t.Errorf("excess %d", b.Excess())
	}
	b.Return(300)
	if b.Excess() != 0 {
		t.Errorf("excess %d", b.Excess())
	}
}

func TestNoBudget(t *testing.T) {
	var b *Budget
	b.Add(1)
	b.Return(1)
	if !b.Take(1<<40) || b.Excess() != 0 || b.Used() != 0 || b.Limit() != 0 || b.Refused() != 0 || b.Over() != nil {
		t.Error("a nil budget limits")
	}
}

// What is used is never more than the limit if everything is taken, and it is the sum of the accounts.
func TestAccounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := New(1000)
		accounts := []*Account{{Budget: b}, {Budget: b}, {Budget: b}}
		held, closed := make([]int, 3), make([]bool, 3)
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				i, n := rapid.IntRange(0, 2).Draw(t, "account"), rapid.IntRange(0, 800).Draw(t, "bytes")
				sum := held[0] + held[1] + held[2] - held[i] + n
				if got, want := accounts[i].Set(n), !closed[i] && (sum <= 1000 || n <= held[i]); got != want {
					t.Fatalf("set to %d: %v, want %v", n, got, want)
				} else if got {
					held[i] = n
				}
			},
			"close": func(t *rapid.T) {
				i := rapid.IntRange(0, 2).Draw(t, "account")
				accounts[i].Close()
				held[i], closed[i] = 0, true
			},
			"": func(t *rapid.T) {
				if sum := int64(held[0] + held[1] + held[2]); b.Used() != sum || sum > 1000 {
					t.Fatalf("%d used, want %d", b.Used(), sum)
				}
			},
		})
	})
}

func TestConcurrent(t *testing.T) {
	b := New(1000)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				if b.Take(300) {
					b.Return(300)
				}
			}
		})
	}
	all.Wait()
	if b.Used() != 0 {
		t.Errorf("%d used", b.Used())
	}
}

func TestReadAll(t *testing.T) {
	for _, size := range []int{0, 1, firstRead - 1, firstRead, firstRead + 1, 100_000} {
		want := bytes.Repeat([]byte("x"), size)
		b := New(1 << 20)
		a := Account{Budget: b}
		got, err := ReadAll(iotest.HalfReader(bytes.NewReader(want)), &a, 2, func() {})
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: read %d, %v", size, len(got), err)
		}
		if used := b.Used(); used != int64(2*cap(got)) {
			t.Errorf("%d bytes: %d count for a buffer of %d", size, used, cap(got))
		}
		a.Close()
		if b.Used() != 0 {
			t.Errorf("%d bytes: %d count in the end", size, b.Used())
		}
	}
}

// A body that does not fit is refused when it has grown too large, and not when it is announced.
func TestReadAllWithoutRoom(t *testing.T) {
	b := New(10 * firstRead)
	a := Account{Budget: b}
	read := 0
	endless := io.TeeReader(strings.NewReader(strings.Repeat("x", 1<<20)), writerFunc(func(p []byte) { read += len(p) }))
	if _, err := ReadAll(endless, &a, 1, func() {}); !errors.Is(err, ErrFull) || read > 10*firstRead {
		t.Errorf("%v after %d bytes", err, read)
	}
	a.Close()
	broken := errors.New("broken")
	if got, err := ReadAll(iotest.ErrReader(broken), &Account{Budget: b}, 1, func() {}); !errors.Is(err, broken) || len(got) != 0 {
		t.Errorf("%q, %v", got, err)
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }

// A gate is a reader that waits until it is closed.
type gate chan struct{}

func (g gate) Read([]byte) (int, error) {
	<-g
	return 0, errors.New("closed")
}

// Those that hold the most are cut first, and no more than needed: bytes that are returned later count as returned.
func TestRelieve(t *testing.T) {
	b := New(1600_000) // 1,500,000 may be used
	b.Add(2000_000)
	var cut []int
	holder := func(bytes int, later bool) Holder {
		return Holder{bytes, func() {
			cut = append(cut, bytes)
			if !later {
				b.Return(bytes)
			}
		}, later}
	}
	b.AddHolders(func() []Holder {
		return []Holder{holder(100_000, false), holder(200_000, false), holder(300_000, true)}
	})
	b.List(250_000, func() { cut = append(cut, 250_000) })
	b.List(400_000, func() { t.Error("cut after its end") }).End()
	if n := b.Relieve(); n != 2 || !slices.Equal(cut, []int{300_000, 250_000}) {
		t.Errorf("%d are cut: %v", n, cut)
	}
	b.Return(550_000)
	if n := b.Relieve(); n != 0 {
		t.Errorf("%d are cut, though there is room", n)
	}
	b.Add(2000_000)
	b.AddHolders(func() []Holder {
		return []Holder{{LeastCut - 1, func() { t.Error("one that holds little is cut") }, false}}
	})
	if n := b.Relieve(); n != 4 {
		t.Errorf("%d are cut", n)
	}
}

// A holder that ends after Relieve has looked is not cut any more: its connection may serve another request.
func TestListingEnds(t *testing.T) {
	b := New(1600)
	l := b.List(400, func() { t.Error("cut after its end") })
	seen := b.holders.all()
	l.End()
	seen[0].Cut()
}

// A body that waits for its rest is cut.
func TestReadAllIsCut(t *testing.T) {
	b := New(1 << 20)
	wait := make(gate)
	body := io.MultiReader(bytes.NewReader(make([]byte, LeastCut)), wait)
	ended := make(chan error)
	go func() {
		a := Account{Budget: b}
		defer a.Close()
		_, err := ReadAll(body, &a, 1, func() { close(wait) })
		ended <- err
	}()
	for b.Used() < LeastCut {
		runtime.Gosched()
	}
	b.Add(2 << 20)
	for b.Relieve() == 0 {
		runtime.Gosched()
	}
	if err := <-ended; !errors.Is(err, ErrFull) {
		t.Error(err)
	}
}
