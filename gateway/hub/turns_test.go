package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"pgregory.net/rapid"

	"github.com/ramainen/doit-socket/internal/clock"
	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/wire"
)

// sameWorker returns a subject whose messages the worker of another one handles.
func (b *bench) sameWorker(as string, name string) string {
	for i := 0; ; i++ {
		if subject := fmt.Sprintf("user.%s%d", name, i); b.hub.workers.of(subject) == b.hub.workers.of(as) {
			return subject
		}
	}
}

// A user with many sockets does not keep the worker from others for longer than a turn, and one batch.
func TestUsersTakeTurns(t *testing.T) {
	b := newBench(t)
	const hot, sockets = "user.hot", 8 * batchSockets
	cold := b.sameWorker(hot, "cold")
	served := make(chan struct{})
	var flushed, before atomic.Int64
	for i := range sockets {
		m := &member{}
		m.onFlush = func() {
			if flushed.Add(1); i == 0 {
				if err := errors.Join(b.pub.Publish(cold, []byte(`["cold"]`)), b.pub.Flush()); err != nil {
					t.Error(err)
				}
				natstest.Await(t, "the message", func() bool { return len(b.hub.workers.of(cold).messages) == 1 })
			}
			if i%batchSockets == 0 {
				for end := clock.Now() + int64(slice); clock.Now() < end; { // a batch takes a whole turn
				}
			}
		}
		if _, err := b.hub.registry.add(attach(m), []string{hot}); err != nil {
			t.Fatal(err)
		}
	}
	other := &member{onFlush: func() { before.Store(flushed.Load()); close(served) }}
	if err := b.register(attach(other), cold); err != nil {
		t.Fatal(err)
	}
	b.flush()
	if r, ok := b.emit(event(hot, `["hot"]`)); !ok || r.Sockets != sockets {
		t.Errorf("%+v, %v", r, ok)
	}
	select {
	case <-served:
	case <-time.After(natstest.Patience):
		t.Fatal("the other user is not served")
	}
	if n := before.Load(); n > 3*batchSockets {
		t.Errorf("the other user waits for %d sockets", n)
	}
}

// An emit of this process sends for one turn. A worker goes on with it. The receipt counts all.
func TestEmitIsHandedOver(t *testing.T) {
	b := newBench(t)
	const sockets = 4 * batchSockets
	for range sockets {
		m := &member{onFlush: func() {
			for end := clock.Now() + int64(slice)/batchSockets; clock.Now() < end; {
			}
		}}
		if _, err := b.hub.registry.add(attach(m), []string{"user.42"}); err != nil {
			t.Fatal(err)
		}
	}
	if n := emitHere(b.hub, "user.42", `["e"]`); n != sockets {
		t.Errorf("%d sockets are counted", n)
	}
}

// An emit of this process to a user whose turn is taken waits until its bound or its context ends. Then it is not
// delivered any more. An emit that has reached somebody does not wait, and is delivered to the others.
func TestEmitDoesNotWaitForEver(t *testing.T) {
	b := newBench(t)
	busy, release := make(chan struct{}), make(chan struct{})
	var once atomic.Bool
	blocked := &member{}
	blocked.onFlush = func() {
		if !once.Swap(true) {
			close(busy)
			<-release
		}
	}
	free := &member{}
	for m, to := range map[*member]string{blocked: "user.busy", free: "user.free"} {
		if err := b.register(attach(m), to); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(b.pub.Publish("user.busy", []byte(`["first"]`)), b.pub.Flush()); err != nil {
		t.Fatal(err)
	}
	<-busy
	emit := func(ctx context.Context, name string, first bool, to ...string) []int {
		return b.hub.Emit(ctx, natstest.Patience, wire.Message{Payload: []byte(name)}, to, first)
	}
	late := b.hub.Emit(t.Context(), time.Millisecond, wire.Message{Payload: []byte(`["too late"]`)}, []string{"user.busy"}, false)
	if !slices.Equal(late, []int{NotKnown}) {
		t.Errorf("%v", late)
	}
	if none := b.hub.Emit(t.Context(), 0, wire.Message{Payload: []byte(`["never"]`)}, []string{"user.free"}, false); !slices.Equal(none, []int{NotKnown}) {
		t.Errorf("without time: %v", none)
	}
	ended, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Millisecond, cancel)
	if got := emit(ended, `["given up"]`, true, "user.busy"); !slices.Equal(got, []int{NotKnown}) {
		t.Errorf("%v", got)
	}
	if got := emit(ended, `["never"]`, true, "user.free"); !slices.Equal(got, []int{NotKnown}) {
		t.Errorf("after its end: %v", got)
	}
	if got := emit(t.Context(), `["both"]`, true, "user.busy", "user.free", "", "user.nobody"); !slices.Equal(got, []int{NotKnown, 1, 0, 0}) {
		t.Errorf("%v", got)
	}
	all := make(chan []int, 1)
	go func() { all <- emit(t.Context(), `["all"]`, false, "user.free", "user.busy") }()
	natstest.Await(t, "the emits to wait", func() bool { return b.waiting("user.busy") == 4 })
	close(release)
	if got := <-all; !slices.Equal(got, []int{1, 1}) {
		t.Errorf("%v", got)
	}
	if heard := blocked.take(); !slices.Equal(heard, []string{`["first"]`, `["both"]`, `["all"]`}) {
		t.Errorf("the busy user heard %v", heard)
	}
	if heard := free.take(); !slices.Equal(heard, []string{`["both"]`, `["all"]`}) {
		t.Errorf("the free user heard %v", heard)
	}
}

// A user for whom too much waits gets no more, and others do. An event larger than the bound is delivered where nothing
// waits.
func TestQueueIsBounded(t *testing.T) {
	q := &queue{}
	large := func(bytes int) *emit { return &emit{message: &Message{Payload: make([]byte, bytes)}} }
	if q.add(large(2*queueBytes)) != turn || q.add(large(1)) != refused {
		t.Error("an event behind one that is larger than the bound")
	}
	for q.takeBurst() != nil {
	}
	if q.add(large(queueBytes/2)) != turn || q.add(large(queueBytes/4)) != waits || q.add(large(queueBytes/4)) != refused {
		t.Error("the bound")
	}
}

// What waits for a worker is bounded in bytes. What is dropped is counted, and the sockets that missed it are told.
func TestBacklogBytes(t *testing.T) {
	b := newTellingBench(t)
	_, busy, release := b.blocker("user.blocker")
	var victims []string
	var pages []*recorder
	for _, name := range []string{"a", "b", "c"} {
		victims = append(victims, b.sameWorker("user.blocker", name))
		page, _ := b.page(victims[len(victims)-1])
		pages = append(pages, page)
	}
	if err := b.pub.Publish("user.blocker", []byte(`["e"]`)); err != nil {
		t.Fatal(err)
	}
	<-busy
	const events, size, room = 21, 1000_000, 10 << 20
	line := &b.hub.workers.of("user.blocker").line
	line.bytes.Add(backlogBytes - room) // as if so much waited
	defer line.bytes.Add(room - backlogBytes)
	for i := range events {
		payload := fmt.Sprintf(`[%q]`, strings.Repeat("x", size)+fmt.Sprint(i)) // each another one, or it would be shared
		if err := b.pub.Publish(victims[i%len(victims)], []byte(payload)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(b.pub.Flush(), b.hub.nc.Flush()); err != nil {
		t.Fatal(err)
	}
	close(release)
	heard, dropped, told := 0, 0, make(map[*recorder]bool) // a page may be told twice
	natstest.Await(t, "all events and gaps", func() bool {
		for _, page := range pages {
			for _, text := range page.take() {
				if len(text) > size {
					heard++
				} else if told[page] = true; gapIn(t, text).Reason != "backlog" {
					t.Errorf("told %s", text)
				}
			}
		}
		dropped = int(counter(t, b.hub.options.Metrics.dropped, "backlog"))
		return len(told) == len(pages) && heard+dropped == events
	})
	if most := room / size; heard > most || heard < most-1 {
		t.Errorf("%d heard, %d dropped", heard, dropped)
	}
}

// The receivers of one emit share its encoded form, in this process and from NATS.
func TestReceiversShareAnEvent(t *testing.T) {
	b := newBench(t)
	users := []string{"user.0", b.sameWorker("user.0", "a"), b.sameWorker("user.0", "b")}
	heard := make(chan *Message, 10)
	for _, user := range users {
		if err := b.register(attach(sendFunc(func(m *Message) bool { heard <- m; return true })), user); err != nil {
			t.Fatal(err)
		}
	}
	b.hub.Emit(t.Context(), natstest.Patience, wire.Message{Payload: []byte(`["e"]`)}, users, false)
	for _, user := range users {
		b.emit(&nats.Msg{Subject: user, Data: []byte(`["e"]`)})
	}
	here, bus := <-heard, (*Message)(nil)
	for i := range 5 {
		m := <-heard
		switch {
		case i == 2:
			bus = m
		case i < 2 && m != here, i > 2 && m != bus:
			t.Errorf("the %d. event is not shared", i+1)
		}
	}
}

// After any sequence of add, abandon, takeBurst and finish: events leave in the order in which they came, those that
// were abandoned while they waited do not, bytes is the cost of what waits, and the turn is taken as long as something
// waits.
func TestQueueProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := &queue{}
		var waiting, burst []*emit
		finished := make(map[*emit]bool)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				e := &emit{message: &Message{Payload: make([]byte, rapid.SampledFrom([]int{1, burstBytes / 2, burstBytes + 1}).Draw(t, "bytes"))}}
				if rapid.IntRange(0, 5).Draw(t, "op") == 0 {
					e.op = wire.OpDisconnect
				}
				want := waits
				if len(waiting)+len(burst) == 0 && !q.turn {
					want = turn
				}
				if got := q.add(e); got != want {
					t.Fatalf("added: %v, want %v", got, want)
				}
				waiting = append(waiting, e)
			},
			"abandon": func(t *rapid.T) {
				if len(waiting) > 0 {
					q.abandon(waiting[rapid.IntRange(0, len(waiting)-1).Draw(t, "which")])
				}
			},
			"take": func(t *rapid.T) {
				if !q.turn {
					return // only who has the turn takes a burst
				}
				var done *emit
				if len(burst) > 0 {
					done = burst[0]
				}
				q.finish(done)
				for _, e := range burst {
					finished[e] = true
				}
				burst = nil
				for e := q.takeBurst(); e != nil; e = e.next {
					burst = append(burst, e)
				}
				for _, e := range burst {
					for waiting[0].abandoned && waiting[0] != e {
						finished[waiting[0]] = true
						waiting = waiting[1:]
					}
					if waiting[0] != e || e.abandoned {
						t.Fatal("out of order, or abandoned")
					}
					waiting = waiting[1:]
				}
				for len(waiting) > 0 && waiting[0].finished {
					finished[waiting[0]] = true
					waiting = waiting[1:]
				}
				if len(burst) == 0 && len(waiting) > 0 {
					t.Fatal("something is left, and nobody has the turn")
				}
			},
			"": func(t *rapid.T) {
				bytes := 0
				for _, e := range waiting {
					bytes += e.cost()
				}
				if q.bytes != bytes || len(waiting) > 0 && !q.turn {
					t.Fatalf("%d bytes, want %d; turn %v", q.bytes, bytes, q.turn)
				}
				for e := range finished {
					if !e.finished {
						t.Fatal("not finished")
					}
				}
			},
		})
	})
}
