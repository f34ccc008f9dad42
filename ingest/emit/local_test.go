package emit

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/wire"
)

// here stands in for the gateway of this process: it has sockets of "user.u".
type here struct {
	alone atomic.Bool

	mu    sync.Mutex
	heard []string
}

func (h *here) Alone() bool { return h.alone.Load() }

func (h *here) Emit(m wire.Message) wire.Receipt {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.heard = append(h.heard, m.Subject+" "+string(m.Payload))
	if m.Subject == "user.u" {
		return wire.Receipt{Sockets: 1}
	}
	return wire.Receipt{}
}

func (h *here) take() (heard []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	heard, h.heard = h.heard, nil
	return heard
}

// A process that is alone serves its own sockets and puts nothing on the bus;
// one that is not leaves all to the bus.
func TestLocal(t *testing.T) {
	b := newBench(t)
	local := &here{}
	b.in.Local = local
	b.holds("u", 1)
	local.alone.Store(true)
	for _, c := range []struct{ body, answer string }{
		{"id=u&message=e&data=1", "OK"},
		{"id=n&message=e&data=1", "ERROR"},
		{"id[]=n&id[]=u&message=e&data=1", "OK"},
	} {
		if status, answer := b.do("POST", "/emit", c.body); status != 200 || answer != c.answer {
			t.Errorf("%s: %d %s", c.body, status, answer)
		}
	}
	want := strings.Fields(`user.u ["e",1] user.n ["e",1] user.n ["e",1] user.u ["e",1]`)
	if heard := strings.Fields(strings.Join(local.take(), " ")); !slices.Equal(heard, want) {
		t.Errorf("handed over: %q", heard)
	}

	b.in.receipts.bound = time.Minute
	for _, alone := range []bool{false, true} { // what the others answered may still be on its way here
		local.alone.Store(alone)
		if status, answer := b.do("POST", "/emit", "id=u&message=fence"); status != 200 || answer != "OK" {
			t.Errorf("%d %s", status, answer)
		}
		select {
		case first := <-b.heard:
			if string(first.Data) != `["fence",{}]` {
				t.Errorf("the bus got %s", first.Data)
			}
		default:
			t.Error("the bus got nothing") // though it has answered
		}
		if heard := local.take(); heard != nil {
			t.Errorf("handed over beside the bus: %q", heard)
		}
	}

	b.in.receipts.bound = 0
	if _, answer := b.do("POST", "/emit", "id=u&message=again"); answer != "OK" || len(local.take()) != 1 {
		t.Errorf("%s, and the process that has been alone for a while does not serve its own", answer)
	}
}
