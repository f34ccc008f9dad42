package hub

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/natstest"
)

// Messages that a worker's channel has no room for are counted exactly. The sockets of their users
// get the gap event, and no others do. That also holds if nats.go reports no error because the user
// has had no message since the last overflow.
func TestBacklog(t *testing.T) {
	b := newTellingBench(t)
	same := func(n int) (subjects []string) {
		for i := 0; len(subjects) < n; i++ {
			if to := fmt.Sprint("user.", i); b.hub.workers.channel(to) == b.hub.workers.channel("user.blocker") {
				subjects = append(subjects, to)
			}
		}
		return subjects
	}
	_, busy, release := b.blocker("user.blocker")
	users := same(3)
	flooded, _ := b.page(users[0])
	both, _ := b.page(users...)
	calm, _ := b.page(users[1])
	publish := func(to string, n int) {
		for range n {
			if err := b.pub.Publish(to, []byte(`["e"]`)); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(b.pub.Flush(), b.hub.nc.Flush()); err != nil { // it has arrived
			t.Fatal(err)
		}
	}
	for round, lost := range []int{1000, 7} {
		publish("user.blocker", 1)
		<-busy
		began := time.Now()
		fill := backlog
		if round == 1 {
			// The channel is full of other users' messages: none of the flooded user gets through.
			publish(users[1], backlog)
			fill = 0
		}
		publish(users[0], fill+lost)
		publish(users[2], 5)
		release <- struct{}{}
		for _, page := range []*recorder{flooded, both} {
			var gaps []gap
			natstest.Await(t, "gap", func() bool {
				for _, heard := range page.take() {
					if heard != `["e"]` {
						gaps = append(gaps, gapIn(t, heard))
					}
				}
				return len(gaps) > 0
			})
			if len(gaps) != 1 || gaps[0].Reason != "backlog" || gaps[0].Since > began.UnixMilli() {
				t.Errorf("round %d: told %+v", round, gaps)
			}
		}
	}
	b.emit(event(users[1], `["fence"]`))
	for _, heard := range calm.take() {
		if heard != `["e"]` && heard != `["fence"]` {
			t.Errorf("a page that missed nothing heard %s", heard)
		}
	}
	if got := counter(t, b.hub.options.Metrics.dropped, "backlog"); got != 1000+7+2*5 {
		t.Errorf("%v are counted", got)
	}
}

// The dropped messages of a user are counted, too, if the user's last socket leaves.
func TestBacklogOfAUserThatLeaves(t *testing.T) {
	b := newTellingBench(t)
	s, busy, _ := b.blocker("user.42")
	for i := range 1 + backlog + 1 {
		if err := b.pub.Publish("user.42", []byte(`["e"]`)); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			<-busy // the worker handles it and receives no more
		}
	}
	if err := errors.Join(b.pub.Flush(), b.hub.nc.Flush()); err != nil {
		t.Fatal(err)
	}
	b.hub.Detach(s)
	b.flush()
	if got := counter(t, b.hub.options.Metrics.dropped, "backlog"); got != 1 {
		t.Errorf("%v are counted", got)
	}
}

// blocker registers a socket. Each of its flushes signals busy, then blocks until release or the
// end of the test.
func (b *bench) blocker(subject string) (s *Socket, busy <-chan struct{}, release chan<- struct{}) {
	b.t.Helper()
	began, end := make(chan struct{}), make(chan struct{})
	over := b.t.Context().Done()
	s = attach(&flushes{onFlush: func() {
		select {
		case began <- struct{}{}:
		case <-over:
			return
		}
		select {
		case <-end:
		case <-over:
		}
	}})
	if err := b.register(s, subject); err != nil {
		b.t.Fatal(err)
	}
	return s, began, end
}
