package publish

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/wire"
)

// here acts as the gateway of this process. It has two sockets of "user.u".
type here struct {
	alone atomic.Bool

	mu    sync.Mutex
	heard []string // guarded by mu
}

func (h *here) Emit(ctx context.Context, _ time.Duration, m wire.Message, subjects []string, _ bool) (sockets []int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, subject := range subjects {
		switch {
		case subject == "":
			sockets = append(sockets, 0)
			continue
		case ctx.Err() != nil, subject == "user.busy":
			sockets = append(sockets, -1)
			continue
		case subject == "user.u":
			sockets = append(sockets, 2)
		default:
			sockets = append(sockets, 0)
		}
		h.heard = append(h.heard, strings.TrimSpace(subject+" "+string(m.Payload)+" "+m.Except))
	}
	return sockets
}

func (h *here) take() (heard []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	heard, h.heard = h.heard, nil
	return heard
}

// A process that is alone calls its own gateway and publishes nothing on NATS. A process that is not alone publishes
// everything.
func TestProcess(t *testing.T) {
	b := newBench(t)
	p := newPublisher(t, b.server.ClientURL())
	local := &here{}
	p.UseGateway(local.alone.Load, local.Emit)
	b.gw.Holds("u", 1)
	local.alone.Store(true)
	for _, c := range []struct {
		ids     []string
		reached bool
	}{
		{[]string{"u"}, true},
		{[]string{"n"}, false},
		{[]string{"n", "u"}, true},
	} {
		if reached, err := emit(p, c.ids, "e", "1"); reached != c.reached || err != nil {
			t.Errorf("%q: %v, %v", c.ids, reached, err)
		}
	}
	want := []string{`user.u ["e",1]`, `user.n ["e",1]`, `user.n ["e",1]`, `user.u ["e",1]`}
	if heard := local.take(); !slices.Equal(heard, want) {
		t.Errorf("handed over: %q", heard)
	}

	p.Bound = time.Minute
	for _, alone := range []bool{false, true} { // an emit that others have answered may still be under way to this process
		local.alone.Store(alone)
		if reached, err := emit(p, []string{"u"}, "fence", "1"); !reached || err != nil {
			t.Errorf("%v, %v", reached, err)
		}
		select {
		case first := <-b.gw.Heard:
			if string(first.Data) != `["fence",1]` {
				t.Errorf("NATS got %s", first.Data)
			}
		default:
			t.Error("NATS got nothing") // though a gateway has answered
		}
		if heard := local.take(); heard != nil {
			t.Errorf("handed over beside NATS: %q", heard)
		}
	}

	p.process.notAloneAt = time.Time{}
	if reached, err := emit(p, []string{"u"}, "again", "1"); !reached || err != nil || len(local.take()) != 1 {
		t.Errorf("%v, %v, and the process that has been alone for a while does not serve its own sockets", reached, err)
	}
}

// The outcomes are in the order of Emit.To, under each policy.
func TestProcessOutcomes(t *testing.T) {
	b := newBench(t)
	p := newPublisher(t, b.server.ClientURL())
	local := &here{}
	local.alone.Store(true)
	p.UseGateway(local.alone.Load, local.Emit)
	e := Emit{To: []string{"", "u", "n", "u"}, Event: "e", Except: "x"}
	for _, policy := range []Policy{FirstReceipt, AllReceivers} {
		got, err := p.Publish(t.Context(), e, policy)
		want := []Outcome{{State: Nobody}, {Reached, 2}, {State: Nobody}, {Reached, 2}}
		if !slices.Equal(got, want) || err != nil {
			t.Errorf("%v, %v; want %v", got, err, want)
		}
		if heard, want := local.take(), []string{`user.u ["e"] x`, `user.n ["e"] x`, `user.u ["e"] x`}; !slices.Equal(heard, want) {
			t.Errorf("handed over: %q", heard)
		}
	}
	busy := Emit{To: []string{"busy", "u"}, Event: "e"}
	if got, err := p.Publish(t.Context(), busy, FirstReceipt); got[0].State != NotKnown || got[1].State != Reached || err != nil {
		t.Errorf("one of two is not known: %v, %v", got, err)
	}
	if got, err := p.Publish(t.Context(), busy, AllReceivers); got[0].State != NotKnown || !errors.Is(err, ErrUnconfirmed) {
		t.Errorf("one of all is not known: %v, %v", got, err)
	}
	local.take()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	got, err := p.Publish(ended, e, AllReceivers)
	if len(got) != 4 || got[1].State != NotKnown || !errors.Is(err, ErrUnconfirmed) || !errors.Is(err, context.Canceled) {
		t.Errorf("after its end: %v, %v", got, err)
	}
	if heard := local.take(); heard != nil {
		t.Errorf("handed over after the end: %q", heard)
	}
}
