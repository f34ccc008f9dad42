package publish

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/wire"
)

// A statBench runs stats without NATS, in a bubble of synctest. The test answers as the gateways.
type statBench struct {
	*stats
	t       *testing.T
	queue   chan publication
	unsure  bool // whether stats finds NATS unstable
	callers sync.WaitGroup
}

func newStatBench(t *testing.T) *statBench {
	b := &statBench{t: t, queue: make(chan publication)}
	b.stats = newStats("inbox.", b.queue, func() bool { return !b.unsure })
	end := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() { b.run(end) })
	t.Cleanup(func() { close(end); running.Wait(); b.callers.Wait() })
	return b
}

// A caller's answer.
type sums struct {
	sockets, users int
	err            error
}

// call starts a call of get.
func (b *statBench) call(ctx context.Context) <-chan sums {
	answer := make(chan sums, 1)
	b.callers.Go(func() {
		sum, err := b.get(ctx, Bound)
		answer <- sums{sum.Sockets, sum.Users, err}
	})
	return answer
}

// question returns the question that waits to be published, nil if there is none.
func (b *statBench) asks() *publication {
	synctest.Wait()
	select {
	case p := <-b.queue:
		return &p
	default:
		return nil
	}
}

// asked returns the reply subject of the question, which must have been asked by now.
func (b *statBench) asked() string {
	b.t.Helper()
	p := b.asks()
	if p == nil || p.message.Subject != wire.SubjectStat {
		b.t.Fatalf("asked %v", p)
	}
	return p.message.Reply
}

func (b *statBench) answer(reply, data string) {
	b.onAnswer(&nats.Msg{Subject: reply, Data: []byte(data)})
}

func (b *statBench) expect(answer <-chan sums, sockets, users int, err error) {
	b.t.Helper()
	synctest.Wait()
	select {
	case got := <-answer:
		if got.sockets != sockets || got.users != users || !errors.Is(got.err, err) {
			b.t.Errorf("got %+v, want %d, %d, %v", got, sockets, users, err)
		}
	default:
		b.t.Error("no answer")
	}
}

// All callers that come before the answer share one question. So do those that come within a second of the question.
func TestStatIsAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newStatBench(t)
		var first []<-chan sums
		for range 100 {
			first = append(first, b.call(t.Context()))
		}
		reply := b.asked()
		b.answer(reply, "3 2 a")
		time.Sleep(statGap / 2)
		first = append(first, b.call(t.Context()))
		b.answer(reply, "10 5 b")
		time.Sleep(statGap)
		for _, answer := range first {
			b.expect(answer, 13, 7, nil)
		}
		b.answer(reply, "100 100 slow") // after the sums are final
		time.Sleep(statAge - statGap*3/2 - 1)
		b.expect(b.call(t.Context()), 13, 7, nil)
		if q := b.asks(); q != nil {
			t.Error("asked again within a second")
		}
		time.Sleep(time.Nanosecond)
		later := b.call(t.Context())
		again := b.asked()
		b.answer(again, "4 4 a")
		time.Sleep(statGap)
		b.expect(later, 4, 4, nil)
	})
}

// An answer to an earlier question is not added to the open one, and neither is a message to another subject.
func TestStatLateAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newStatBench(t)
		first := b.call(t.Context())
		late := b.asked()
		time.Sleep(Bound)
		b.expect(first, 0, 0, nats.ErrTimeout)
		time.Sleep(statRetry)
		second := b.call(t.Context())
		reply := b.asked()
		for _, other := range []string{late, "inbox.", "inbox.99", reply + ".1"} {
			b.answer(other, "100 100 late")
			b.answer(other, "malformed")
		}
		b.answer(reply, "1 2 a")
		time.Sleep(statGap)
		b.expect(second, 1, 2, nil)
	})
}

// A caller's wait ends with its context. The others that share its question get their answer.
func TestStatCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newStatBench(t)
		ctx, cancel := context.WithCancel(t.Context())
		first, second := b.call(ctx), b.call(t.Context())
		reply := b.asked()
		cancel()
		b.expect(first, 0, 0, context.Canceled)
		b.answer(reply, "1 2 a")
		time.Sleep(statGap)
		b.expect(second, 1, 2, nil)
	})
}

// An error is given to the callers of the next 100 ms only. Without gateways the sums are zero at once.
func TestStatErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newStatBench(t)
		nobody := func(reply string) {
			b.onAnswer(&nats.Msg{Subject: reply, Header: nats.Header{"Status": {"503"}}})
		}
		refused := errors.New("refused")
		for _, c := range []struct {
			happens func()
			want    error
		}{
			{func() { b.answer(b.asked(), "many") }, wire.ErrReceipt},
			{func() { b.asks().failed <- refused }, ErrNotSent},
			{func() { b.unsure = true; nobody(b.asked()) }, ErrUnstable},
		} {
			answer := b.call(t.Context())
			c.happens()
			b.expect(answer, 0, 0, c.want)
			b.expect(b.call(t.Context()), 0, 0, c.want)
			if b.asks() != nil {
				t.Errorf("%v: asked again at once", c.want)
			}
			time.Sleep(statRetry)
		}
		b.unsure = false
		answer := b.call(t.Context())
		nobody(b.asked())
		b.expect(answer, 0, 0, nil)
	})
}

// A question takes its bound at most: while the sender waits for nats.go, and while answers trickle in without end.
func TestStatIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newStatBench(t)
		stuck := b.call(t.Context())
		time.Sleep(Bound)
		b.expect(stuck, 0, 0, nats.ErrTimeout)
		time.Sleep(statRetry)
		if b.asks() != nil {
			t.Error("asked after its end")
		}
		trickle := b.call(t.Context())
		reply := b.asked()
		for range 20 {
			b.answer(reply, "1 0 a")
			time.Sleep(statGap / 2)
		}
		b.expect(trickle, 20, 0, nil)
	})
}

// 1,000 requests for the sums make one message on NATS, no subscription and little memory. Each made a subscription with
// room for 65,536 messages, 512 KiB.
func TestStatCostsLittle(t *testing.T) {
	const calls, most = 1000, 2000
	b := newBench(t)
	p := newPublisher(t, b.server.ClientURL())
	var asked atomic.Int32
	b.gw.On(wire.SubjectStat, func(m *nats.Msg) {
		asked.Add(1)
		_ = m.Respond([]byte("3 2 a"))
	})
	natstest.Await(t, "connection", p.bus.nc.IsConnected)
	subscriptions := p.bus.nc.NumSubscriptions()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var all sync.WaitGroup
	for range calls {
		all.Go(func() {
			if sockets, users, err := p.Stat(t.Context()); sockets != 3 || users != 2 || err != nil {
				t.Errorf("%d, %d, %v", sockets, users, err)
			}
		})
	}
	all.Wait()
	runtime.ReadMemStats(&after)
	if got := (after.TotalAlloc - before.TotalAlloc) / calls; got > most {
		t.Errorf("%d bytes a call", got)
	}
	if got := asked.Load(); got > 2 {
		t.Errorf("asked %d times", got)
	}
	if got := p.bus.nc.NumSubscriptions(); got != subscriptions || !strings.HasPrefix(p.bus.stats.inbox, nats.InboxPrefix) {
		t.Errorf("%d subscriptions, %d before; inbox %q", got, subscriptions, p.bus.stats.inbox)
	}
}

func BenchmarkStat(b *testing.B) {
	bench := newBench(b)
	p := newPublisher(b, bench.server.ClientURL())
	bench.gw.On(wire.SubjectStat, func(m *nats.Msg) { _ = m.Respond([]byte("3 2 a")) })
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, _, err := p.Stat(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
