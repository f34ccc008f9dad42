package hub

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"pgregory.net/rapid"

	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/wire"
)

// A member is a recorder that counts its flushes and calls onFlush in each.
type member struct {
	recorder
	onFlush func()
	flushes int
}

func (m *member) Flush() bool {
	m.flushes++
	if m.onFlush != nil {
		m.onFlush()
	}
	return m.recorder.Flush()
}

// Sockets unregister, register, and do both while an event is sent to their user. Sockets that stay get the event once.
// No socket gets it twice or after it has unregistered. The receipt counts the sockets that got it.
func TestSocketsComeAndGoWhileTheyAreServed(t *testing.T) {
	b := newBench(t)
	const user = "user.42"
	rapid.Check(t, func(t *rapid.T) {
		members := make([]*member, rapid.IntRange(1, 4*batchSockets).Draw(t, "sockets"))
		sockets := make([]*Socket, len(members))
		stays := make([]bool, len(members))
		join := func(i int) {
			if _, err := b.hub.registry.add(sockets[i], []string{user}); err != nil {
				t.Fatal(err)
			}
		}
		which := rapid.IntRange(0, len(members)-1)
		for i := range members {
			members[i], stays[i] = &member{recorder: recorder{id: fmt.Sprint(i)}}, true
			sockets[i] = attach(members[i])
			join(i)
		}
		late := &member{}
		lateSocket := attach(late)
		defer func() {
			for _, s := range append(sockets, lateSocket) {
				b.hub.Detach(s)
			}
		}()
		for _, at := range rapid.SliceOfN(which, 0, 3).Draw(t, "in the flush of") {
			leave := rapid.SliceOfDistinct(which, rapid.ID[int]).Draw(t, "leave")
			again := rapid.SliceOfDistinct(which, rapid.ID[int]).Draw(t, "come again")
			members[at].onFlush = func() {
				members[at].onFlush = nil
				for _, i := range leave {
					b.hub.Unregister(sockets[i], []string{user})
					stays[i] = false
				}
				for _, i := range again {
					if !stays[i] {
						join(i)
					}
				}
				if _, err := b.hub.registry.add(lateSocket, []string{user}); err != nil {
					t.Fatal(err)
				}
			}
		}
		count := emitHere(b.hub, user, `["e"]`)
		heard := 0
		for i, m := range members {
			n := len(m.take())
			if heard += n; n > 1 || stays[i] && n == 0 {
				t.Fatalf("socket %d heard it %d times; it stayed: %v", i, n, stays[i])
			}
		}
		if n := len(late.take()); n > 0 {
			t.Fatalf("a socket that came meanwhile heard it %d times", n)
		}
		if count != heard {
			t.Fatalf("%d are counted, %d heard", count, heard)
		}
	})
}

// Events that arrive while a user's sockets are written to go to the sockets in bursts. Each event has its own receipt.
func TestBurst(t *testing.T) {
	for _, way := range []string{"bus", "process"} {
		t.Run(way, func(t *testing.T) {
			const more = burstEvents + burstEvents/2
			b := newBench(t)
			busy, release := make(chan struct{}), make(chan struct{})
			first := &member{onFlush: sync.OnceFunc(func() { close(busy); <-release })}
			first.id = "first"
			second := &member{}
			for _, m := range []*member{first, second} {
				if err := b.register(attach(m), "user.42"); err != nil {
					t.Fatal(err)
				}
			}
			events := []string{`["e"]`}
			receipts := make([]int, 1+more)
			want := slices.Repeat([]int{2}, 1+more)
			heardByFirst := []string{`["e"]`}
			inbox := b.pub.NewInbox()
			answers, err := b.pub.SubscribeSync(inbox + ".*")
			if err != nil {
				t.Fatal(err)
			}
			var emits sync.WaitGroup
			for i := range 1 + more {
				payload := fmt.Sprintf(`["e",%d]`, i)
				if i == 0 {
					payload = events[0]
				}
				m := event("user.42", payload)
				m.Reply = fmt.Sprintf("%s.%d", inbox, i)
				switch {
				case i == 0:
				case way == "bus" && i == 3:
					m.Data, want[i] = []byte("malformed"), 0
				case way == "bus" && i == 5:
					m.Header.Set(wire.HeaderExcept, "first")
					events, want[i] = append(events, payload), 1
				default:
					events, heardByFirst = append(events, payload), append(heardByFirst, payload)
				}
				if way == "bus" {
					if err := b.pub.PublishMsg(m); err != nil {
						t.Fatal(err)
					}
				} else {
					emits.Go(func() { receipts[i] = emitHere(b.hub, "user.42", payload) })
					if i > 0 {
						natstest.Await(t, "the emit to wait", func() bool { return b.waiting("user.42") == i })
					}
				}
				if i == 0 {
					<-busy
				}
			}
			if way == "bus" {
				natstest.Await(t, "the messages to wait", func() bool {
					waiting := 0
					for _, inlet := range b.hub.workers.each {
						waiting += len(inlet.messages)
					}
					return waiting == more
				})
			}
			close(release)
			emits.Wait()
			if way == "bus" {
				b.receipts(answers, receipts)
			}
			if !slices.Equal(receipts, want) {
				t.Errorf("receipts %v, want %v", receipts, want)
			}
			for m, want := range map[*member][]string{first: heardByFirst, second: events} {
				if heard := m.take(); !slices.Equal(heard, want) {
					t.Errorf("heard %v, want %v", heard, want)
				}
				if m.flushes != 3 { // the first, burstEvents, and the rest
					t.Errorf("%d writes", m.flushes)
				}
			}
			if got := counter(t, b.hub.options.Metrics.delivered, ""); got != float64(len(events)+len(heardByFirst)) {
				t.Errorf("%v are counted", got)
			}
		})
	}
}

func (b *bench) waiting(subject string) (n int) {
	b.hub.registry.mu.RLock()
	defer b.hub.registry.mu.RUnlock()
	u := b.hub.registry.users[subject]
	u.queue.mu.Lock()
	defer u.queue.mu.Unlock()
	for e := u.queue.first; e != nil; e = e.next {
		n++
	}
	return n
}

// receipts waits for a receipt for each element of sockets, which the last token of its subject names.
func (b *bench) receipts(answers *nats.Subscription, sockets []int) {
	for range sockets {
		m, err := answers.NextMsg(natstest.Patience)
		if err != nil {
			b.t.Fatal(err)
		}
		r, err := wire.ParseReceipt(m.Data)
		if err != nil {
			b.t.Fatal(err)
		}
		i, err := strconv.Atoi(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:])
		if err != nil {
			b.t.Fatal(err)
		}
		sockets[i] = r.Sockets
	}
}

// The queue of a user keeps no event in memory once all are sent.
func TestLastEventIsLetGo(t *testing.T) {
	b := newBench(t)
	b.page("user.42")
	gone := make(chan struct{})
	payload := new([64]byte)
	copy(payload[:], `["e"]`)
	runtime.AddCleanup(payload, func(done chan struct{}) { close(done) }, gone)
	b.hub.Emit(t.Context(), natstest.Patience, wire.Message{Payload: payload[:5]}, []string{"user.42"}, false)
	payload = nil
	natstest.Await(t, "the event to go", func() bool {
		runtime.GC()
		select {
		case <-gone:
			return true
		default:
			return false
		}
	})
}

// emitHere emits to one user in this process, and returns how many sockets took the event.
func emitHere(h *Hub, subject, payload string) (sockets int) {
	return h.Emit(context.Background(), natstest.Patience, wire.Message{Payload: []byte(payload)}, []string{subject}, false)[0]
}

// taken reports whether somebody has the turn.
func (q *queue) taken() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.turn
}

// A burst is bounded in bytes, except if it is a single event.
func TestBurstBytes(t *testing.T) {
	var q queue
	add := func(sizes ...int) {
		for _, size := range sizes {
			q.add(&emit{message: &Message{Payload: []byte(strings.Repeat("x", size))}})
		}
	}
	add(burstBytes/2, burstBytes/2, 1, 2*burstBytes, 1)
	for _, want := range [][]int{{burstBytes / 2, burstBytes / 2}, {1}, {2 * burstBytes}, {1}, nil} {
		var got []int
		for e := q.takeBurst(); e != nil; e = e.next {
			got = append(got, len(e.message.Payload))
		}
		if !slices.Equal(got, want) {
			t.Errorf("a burst of %v bytes, want %v", got, want)
		}
	}
	add(3)
	if e := q.takeBurst(); e == nil || len(e.message.Payload) != 3 {
		t.Error("nothing comes after the queue was empty")
	}
}

// The cost of the hub itself: sockets do nothing, 8 goroutines emit.
func BenchmarkEmit(b *testing.B) {
	for _, sockets := range []int{1, 100} {
		b.Run(fmt.Sprint(sockets), func(b *testing.B) {
			bench := newBench(b)
			const users = 512
			for i := range users {
				for range sockets {
					if _, err := bench.hub.registry.add(attach(sendFunc(func(*Message) bool { return true })), []string{fmt.Sprint("user.", i)}); err != nil {
						b.Fatal(err)
					}
				}
			}
			bench.flush()
			subjects := make([]string, users)
			for i := range subjects {
				subjects[i] = fmt.Sprint("user.", i)
			}
			payload := []byte(`["e"]`)
			var seed atomic.Int64
			ctx := b.Context()
			b.ReportAllocs()
			b.SetParallelism(8 / runtime.GOMAXPROCS(0))
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for i := int(seed.Add(61)); pb.Next(); i++ {
					bench.hub.Emit(ctx, natstest.Patience, wire.Message{Payload: payload}, subjects[i%users:i%users+1], true)
				}
			})
		})
	}
}
