package publish

import (
	"sync"
	"testing"
	"testing/synctest"

	"github.com/nats-io/nats.go"
)

// A small message waits for one large one at most, however many emits with large ones wait. Large ones get their turn
// while small ones go on coming.
func TestSmallMessagesGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const each = 200
		s := newSender(nil)
		var order []int // lengths, in the order of sending
		s.send = func(m *nats.Msg) error { order = append(order, len(m.Data)); return nil }
		var waiting sync.WaitGroup
		for _, size := range []int{smallMessage, smallMessage + 1} {
			for range each {
				waiting.Go(func() {
					m := &nats.Msg{Data: make([]byte, size)}
					s.queue(m) <- publication{m, nil}
				})
			}
		}
		synctest.Wait()
		end := make(chan struct{})
		var running sync.WaitGroup
		running.Go(func() { s.run(end) })
		waiting.Wait()
		close(end)
		running.Wait()
		smalls := 0
		for _, size := range order[:each] {
			if size == smallMessage {
				smalls++
			}
		}
		if least := each - 2*each/smallInRow; smalls < least || smalls == each {
			t.Errorf("%d of the first %d messages are small, want at least %d, and not all", smalls, each, least)
		}
		if len(order) != 2*each {
			t.Errorf("%d are sent", len(order))
		}
	})
}
