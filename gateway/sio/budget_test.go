package sio

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/siotest"
	"github.com/ramainen/doit-socket/internal/visitor"
	"github.com/ramainen/doit-socket/internal/wire"
)

// A registration costs its session a token for each id, and its address and the node one for each new id. It waits for
// tokens that are missing, up to maxDelay. Beyond that it is refused, and costs address and node nothing.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, other := netip.MustParseAddr("192.0.2.1"), netip.Addr{}
		b := newBudget(Config{MaxIDs: 32, MaxNewIDsPerAddress: 20, MaxNewIDs: 40})
		spend := func(session *visitor.Bucket, address netip.Addr, ids, fresh int, want time.Duration, reason string) {
			t.Helper()
			wait, err := b.spend(session, address, ids, fresh)
			var over *overBudget
			switch {
			case errors.As(err, &over) && (over.reason != reason || over.wait != want):
				t.Errorf("refused by %s, wait %v, want %s, %v", over.reason, over.wait, reason, want)
			case err == nil && (wait != want || reason != ""):
				t.Errorf("wait %v, want %v, %s", wait, want, reason)
			}
		}
		tab := func() *visitor.Bucket { return new(visitor.Bucket) }
		for range 6 { // a page's 32 at once are fine
			spend(tab(), one, 32, 32, 0, "")
		}
		spend(tab(), one, 32, 0, 0, "")                                     // those that are not new cost the session only
		spend(tab(), one, 28, 28, time.Second, "")                          // the address had 8 left
		spend(tab(), one, 32, 32, 2600*time.Millisecond, "")                // and now owes 20
		spend(tab(), one, 32, 32, 4200*time.Millisecond, "")                // 52
		spend(tab(), one, 32, 32, 5800*time.Millisecond, reasonAddressRate) // 84
		spend(tab(), other, 116, 116, 0, "")                                // the node had 400, of which 284 were spent
		spend(tab(), other, 40, 40, time.Second, "")
		spend(tab(), other, 161, 161, 5025*time.Millisecond, reasonNodeRate)

		flood := tab()
		for range 10 {
			spend(flood, one, 32, 0, 0, "")
		}
		for i := range 5 {
			spend(flood, one, 32, 0, time.Duration(i+1)*time.Second, "")
		}
		spend(flood, one, 32, 0, 6*time.Second, reasonSessionRate)
		if err := b.check(*flood); err == nil { // the refusal has cost a token, too
			t.Error("a session that owes more than maxDelay may try")
		}
		if err := b.check(*tab()); err != nil {
			t.Error(err)
		}
		// Refusals cost something, too: a session that goes on is refused before its ids are decoded.
		stubborn, tries := tab(), 0
		for range 14 {
			if _, err := b.spend(stubborn, one, 32, 0); err != nil {
				t.Fatal(err)
			}
		}
		for b.check(*stubborn) == nil {
			if _, err := b.spend(stubborn, one, 64, 0); err == nil {
				t.Fatal("64 ids were allowed")
			}
			if tries++; tries > 33 {
				t.Fatal("refusals cost nothing")
			}
		}

		time.Sleep(time.Minute) // of the bubble's clock
		spend(flood, one, 32, 32, 0, "")
		spend(tab(), other, 32, 32, 0, "")
	})
	free := newBudget(Config{MaxIDs: 32})
	for range 1000 {
		if wait, err := free.spend(new(visitor.Bucket), netip.Addr{}, 32, 32); wait != 0 || err != nil {
			t.Fatalf("without a limit: %v, %v", wait, err)
		}
	}
}

// Addresses that together register more new ids than the node allows get equal parts of it, and leave one for others,
// who need not wait.
func TestGreedyAddressesLeaveAPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const greedy = 40
		b := newBudget(Config{MaxIDs: 32, MaxNewIDsPerAddress: 500, MaxNewIDs: 10_000})
		address := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}) }
		var got [greedy]int
		const rounds = 120
		for range rounds {
			for try := range 20 { // 640 ids a second each, whatever the answer
				for i := range greedy {
					if _, err := b.spend(new(visitor.Bucket), address((i+try)%greedy), 32, 32); err == nil {
						got[(i+try)%greedy] += 32
					}
				}
			}
			time.Sleep(time.Second)
			if wait, err := b.spend(new(visitor.Bucket), netip.MustParseAddr("198.51.100.7"), 1, 1); wait != 0 || err != nil {
				t.Fatalf("a page of another address: wait %v, %v", wait, err)
			}
		}
		all := 0
		for i, n := range got {
			all += n
			if fair := rounds * 10_000 / greedy; n < fair*3/4 || n > fair*3/2 {
				t.Errorf("address %d got %d, a fair part is %d", i, n, fair)
			}
		}
		if all < rounds*9_500 {
			t.Errorf("the node allows %d, and registered %d", rounds*10_000, all)
		}
		// A page of an address that has had its part may register what a page may, once the others are gone.
		time.Sleep(time.Minute)
		if wait, err := b.spend(new(visitor.Bucket), address(0), 320, 320); wait != 0 || err != nil {
			t.Errorf("afterwards: wait %v, %v", wait, err)
		}
	})
}

// list returns n ids as a JSON list.
func list(name string, n int) string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("%s-%d", name, i)
	}
	b, _ := json.Marshal(ids)
	return string(b)
}

// Registrations of new ids that are too many for an address wait, and are answered as soon as the budget allows it. More
// are refused. Ids that another socket has are not limited.
func TestNewIDsOfAnAddress(t *testing.T) {
	b := start(t, func(c *config) { c.SocketIO.MaxNewIDsPerAddress = 4 }) // 40 at once
	one, two := b.join(4), b.join(4)
	one.Send(`421["register",{"userid":` + list("one", 32) + `}]`)
	one.Expect(`431[{"ok":true}]`)
	two.Send(`421["register",{"userid":` + list("two", 32) + `}]`)
	two.Expect(`431[{"ok":false,"error":"not registered: the pages of this address have registered too many ids; try again in 6 seconds"}]`)
	two.Send(`422["register",{"userid":` + list("one", 20) + `}]`)
	two.Expect(`432[{"ok":true}]`)
	b.wantUsers(32)

	began := time.Now()
	two.Send(`423["register",{"userid":` + list("two", 12) + `}]`) // 8 are left
	two.Expect(`433[{"ok":true}]`)
	if took := time.Since(began); took < 300*time.Millisecond {
		t.Errorf("registered after %v", took)
	}
	b.wantUsers(44)
	if n := b.emit("two-9", "alert"); n != 1 {
		t.Errorf("%d sockets took it", n)
	}
	two.Expect(`42["alert"]`)
	if refused, delayed := b.counter("doit_gateway_registrations_refused_total", reasonAddressRate), b.counter("doit_gateway_registrations_delayed_total"); refused != 1 || delayed != 1 {
		t.Errorf("%v refused, %v delayed", refused, delayed)
	}
	if n := b.pending.Load(); n != 0 {
		t.Errorf("%d bytes are pending", n)
	}
}

// An id that is unregistered while its registration waits for the budget is not registered. The others are.
func TestUnregisterWhileDelayed(t *testing.T) {
	b := start(t, func(c *config) { c.SocketIO.MaxNewIDsPerAddress = 2 }) // 20 at once
	p := b.join(4)
	p.Send(`421["register",{"userid":` + list("first", 20) + `}]`)
	p.Expect(`431[{"ok":true}]`)
	p.Send(`422["register",{"userid":["stays","goes"]}]`, `423["unregister",{"userid":["goes","first-0"]}]`)
	p.Expect(`433[{"ok":true}]`, `432[{"ok":true}]`)
	b.wantUsers(20)
	if b.emit("goes", "alert") != 0 || b.emit("stays", "alert") != 1 {
		t.Error("unregistered hears, or registered does not")
	}
	p.Expect(`42["alert"]`)
}

// A registration that waits for the budget ends with its connection, or with its socket.
func TestCloseWhileDelayed(t *testing.T) {
	b := start(t, func(c *config) { c.SocketIO.MaxNewIDsPerAddress = 1 }) // 10 at once
	p, leaver := b.join(4), b.join(4)
	p.Send(`421["register",{"userid":` + list("first", 10) + `}]`)
	p.Expect(`431[{"ok":true}]`)
	p.Send(`422["register",{"userid":["a","b","c"]}]`)
	leaver.Send(`421["register",{"userid":"d"}]`, "41")
	natstest.Await(t, "delays", func() bool { return b.counter("doit_gateway_registrations_delayed_total") == 2 })
	p.Close()
	natstest.Await(t, "an answer", func() bool { return b.counter("doit_gateway_registrations_refused_total", reasonGone) == 1 })
	b.wantUsers(0)
	leaver.Close()
	natstest.Await(t, "nothing to be pending", func() bool { return b.pending.Load() == 0 })
}

// The registrations of all pages that wait for NATS have a bound in bytes. Those beyond are refused.
func TestPendingOfTheNode(t *testing.T) {
	b := start(t)
	p := b.join(4)
	b.pending.Add(maxPendingBytes) // as if others waited
	p.Send(`421["register",{"userid":"42"}]`)
	p.Expect(`431[{"ok":false,"error":"not registered: too many registrations wait on this server; try again in 5 seconds"}]`)
	if n := b.counter("doit_gateway_registrations_refused_total", reasonNodePending); n != 1 {
		t.Errorf("%v are counted", n)
	}
	b.pending.Add(-maxPendingBytes)
	b.Memory.Take(1 << 30)
	p.Send(`422["register",{"userid":"42"}]`)
	p.Expect(`432[{"ok":false,"error":"not registered: too many registrations wait on this server; try again in 5 seconds"}]`)
	b.Memory.Return(1 << 30)
	p.Register("42")
	if n := b.Memory.Used(); n != 0 {
		t.Errorf("%d bytes count", n)
	}
	if n := b.pending.Load(); n != 0 {
		t.Errorf("%d bytes are pending", n)
	}
}

// While NATS is away, registrations wait without the frames that brought them.
func TestRegistrationsThatWaitKeepNoFrame(t *testing.T) {
	const pages, frame = 20, 32 << 10 // 40 MiB of frames
	t.Run("bus away", func(inner *testing.T) {
		b := start(inner, func(c *config) { c.GapEvent = "" })
		var tabs []*siotest.Tab
		for range pages {
			tabs = append(tabs, b.join(4))
		}
		natstest.Stop(b.nats)
		before := heap()
		packet := `421["register",{"userid":"42"},"` + strings.Repeat("x", frame) + `"]`
		for _, p := range tabs {
			for range maxPending {
				p.Send(packet)
			}
		}
		subject, err := wire.Subject("", "42")
		if err != nil {
			t.Fatal(err)
		}
		// All of them, so that no frame is still being read.
		all := int64(pages * maxPending * (256 + 48 + len(subject)))
		natstest.Await(t, "registrations to wait", func() bool { return b.pending.Load() == all })
		if grown := heap() - before; grown > 8<<20 {
			t.Errorf("%d registrations hold %d KiB", pages*maxPending, grown>>10)
		}
		b.nats = natstest.Restart(t, b.nats) // which outlives the bench
		for _, p := range tabs {
			p.Expect(slices.Repeat([]string{`431[{"ok":true}]`}, maxPending)...)
		}
	})
}

// Pages that register and give up new ids all the time delay no neighbour's event beyond a test's patience, and cost no
// goroutines. The neighbour's registration is not theirs to prevent.
func TestChurnOfNewIDs(t *testing.T) {
	const pages, rounds = 20, 30
	b := start(t)
	neighbour := b.join(4)
	neighbour.Register("neighbour")
	var tabs []*siotest.Tab
	for range pages {
		tabs = append(tabs, b.join(4))
	}
	before, most := runtime.NumGoroutine(), 0
	for round := range rounds {
		for i, p := range tabs {
			ids := list(fmt.Sprintf("%d-%d", i, round), 32)
			p.Send(`42["register",{"userid":`+ids+`}]`, `42["unregister",{"userid":`+ids+`}]`)
		}
		if n := b.emit("neighbour", "n", fmt.Sprint(round)); n != 1 {
			t.Fatalf("%d sockets took it", n)
		}
		neighbour.Expect(fmt.Sprintf(`42["n",%d]`, round))
		most = max(most, runtime.NumGoroutine())
	}
	if most > before+300 {
		t.Errorf("%d goroutines, %d before", most, before)
	}
	refused := b.counter("doit_gateway_registrations_refused_total", reasonSessionRate) + b.counter("doit_gateway_registrations_refused_total", reasonAddressRate)
	if refused == 0 {
		t.Error("nothing was refused")
	}
	t.Logf("%d goroutines, %d before; %v of %d registrations were refused", most, before, refused, pages*rounds)
}
