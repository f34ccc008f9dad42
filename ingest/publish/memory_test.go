package publish

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/natstest"
)

// An emit that waits for its receipt holds its payload, and not what it was made of.
func TestAWaitingEmitHoldsItsPayload(t *testing.T) {
	const emits, size = 20, 200_000
	b := newBench(t)
	p := newPublisher(t, b.server.ClientURL())
	p.Bound = 3 * natstest.Patience
	b.gw.Holds("silent", -1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	before := heap()
	var all sync.WaitGroup
	for range emits {
		all.Go(func() {
			data := append(append([]byte{'"'}, bytes.Repeat([]byte{'x'}, size)...), '"')
			_, _ = p.Publish(ctx, Emit{To: []string{"silent"}, Event: "e", Args: [][]byte{data}}, FirstReceipt)
		})
	}
	for range emits {
		select {
		case <-b.gw.Heard:
		case <-time.After(natstest.Patience):
			t.Fatal("not sent")
		}
	}
	if each := (heap() - before) / emits; each > size*7/4 {
		t.Errorf("%d bytes live for each emit", each)
	}
	cancel()
	all.Wait()
}
