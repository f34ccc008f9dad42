package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/internal/natstest"
)

func telling(o *Options) { o.GapEvent = "doit:gap" }

// A gap is the data of a gap event.
type gap struct {
	Since  int64  `json:"since"`
	Reason string `json:"reason"`
}

// gapIn parses a gap event. It fails the test if the event does not have exactly the two fields.
func gapIn(t testing.TB, payload string) (g gap) {
	t.Helper()
	data, ok := strings.CutPrefix(payload, `["doit:gap",`)
	d := json.NewDecoder(strings.NewReader(strings.TrimSuffix(data, "]")))
	d.DisallowUnknownFields()
	if err := d.Decode(&g); !ok || err != nil {
		t.Fatalf("heard %s: %v", payload, err)
	}
	return g
}

// awaitGap waits until the page gets an event, which must be exactly one gap event.
func awaitGap(t testing.TB, r *recorder) gap {
	t.Helper()
	var heard []string
	natstest.Await(t, "gap", func() bool { heard = append(heard, r.take()...); return len(heard) > 0 })
	if len(heard) != 1 {
		t.Fatalf("heard %q", heard)
	}
	return gapIn(t, heard[0])
}

// lose stops the NATS server and waits until the hub has recorded the loss.
func (b *bench) lose() {
	b.t.Helper()
	before := b.hub.losses.soFar()
	natstest.Stop(b.server)
	natstest.Await(b.t, "loss", func() bool { return b.hub.losses.soFar() > before })
}

func (b *bench) comeBack() {
	b.t.Helper()
	b.server = natstest.Restart(b.t, b.server)
	b.pub = natstest.Connect(b.t, b.server)
}

// allTold waits until every socket was told of all losses.
func (b *bench) allTold() {
	b.t.Helper()
	natstest.Await(b.t, "end of the gap", func() bool { return b.hub.losses.firstUntold().IsZero() })
}

func newTellingBench(t *testing.T, change ...func(*Options)) *bench {
	s := natstest.Start(t)
	nc := natstest.Connect(t, s, quick())
	return &bench{t: t, server: s, pub: natstest.Connect(t, s), hub: newHub(t, nc, append([]func(*Options){telling}, change...)...)}
}

// After a loss of NATS each socket that was registered before gets one gap event, however many
// users it has. A socket that registered later gets none.
func TestGapAfterALoss(t *testing.T) {
	b := newTellingBench(t)
	one, _ := b.page("user.1")
	many, _ := b.page("user.1", "user.2", "user.3")
	left, s := b.page("user.4")
	b.hub.Unregister(s, []string{"user.4"})
	unregistered := &recorder{}
	attach(unregistered)

	registered := time.Now()
	b.page("user.5") // NATS has answered a round trip, so no earlier event is missing
	b.lose()
	known := time.Now()
	while := &recorder{}
	done := make(chan error, 1)
	b.hub.Register(attach(while), []string{"user.1"}, func(err error) { done <- err })
	b.hub.Register(s, []string{"user.4"}, func(error) {}) // its first user after it had none
	b.comeBack()

	var g gap
	for _, page := range []*recorder{one, many} {
		g = awaitGap(t, page)
		if g.Reason != "bus" || g.Since > known.UnixMilli() || g.Since < registered.Add(-transit).UnixMilli() {
			t.Errorf("%+v, registered at %d, known at %d", g, registered.UnixMilli(), known.UnixMilli())
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	later, _ := b.page("user.1")
	b.allTold()
	for _, page := range []*recorder{one, many, while, later, left, unregistered} {
		if heard := page.take(); len(heard) > 0 {
			t.Errorf("heard %q", heard)
		}
	}
	if got := counter(t, b.hub.options.Metrics.gaps, "bus"); got != 3 {
		t.Errorf("%v gaps are counted", got)
	}

	// The next loss is a new gap, also for sockets that registered during the last one.
	b.lose()
	b.comeBack()
	for _, page := range []*recorder{one, many, while, later, left} {
		if second := awaitGap(t, page); second.Since <= g.Since {
			t.Errorf("the second gap is %+v, the first %+v", second, g)
		}
	}
}

// When a page gets the gap event, emits reach it and all other pages again.
func TestGapIsToldWhenAllIsBack(t *testing.T) {
	const users = 3000
	b := newTellingBench(t)
	var mu sync.Mutex
	var early []int
	told := make(chan struct{}, users)
	var registered sync.WaitGroup
	for i := range users {
		s := attach(sendFunc(func(*Message) bool {
			mu.Lock()
			defer mu.Unlock()
			if n := b.server.NumSubscriptions(); n < users {
				early = append(early, int(n))
			}
			told <- struct{}{}
			return true
		}))
		registered.Add(1)
		b.hub.Register(s, []string{fmt.Sprint("user.", i)}, func(error) { registered.Done() })
	}
	registered.Wait()
	b.lose()
	mu.Lock() // b.server changes
	b.comeBack()
	mu.Unlock()
	for range users {
		select {
		case <-told:
		case <-time.After(natstest.Patience):
			t.Fatal("not all are told")
		}
	}
	if len(early) > 0 {
		t.Errorf("told when there were %d subscriptions", early)
	}
}

// In a cluster the gap event waits until the other servers have the subscriptions, too.
func TestGapWaitsForTheCluster(t *testing.T) {
	nodes := natstest.Cluster(t, 2)
	nc, err := nats.Connect(nodes[0].ClientURL()+","+nodes[1].ClientURL(), quick(), nats.DontRandomize(), nats.IgnoreDiscoveredServers())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	b := &bench{t: t, server: nodes[0], hub: newHub(t, nc, telling, func(o *Options) { o.Settle = 300 * time.Millisecond })}
	page, _ := b.page("user.42")
	b.lose()
	lost := time.Now()
	awaitGap(t, page)
	if waited := time.Since(lost); waited < b.hub.options.Settle-50*time.Millisecond { // less: lose polls
		t.Errorf("told after %v", waited)
	}
}

// Several losses before any gap event is sent are one gap, which begins at the first.
func TestLossesInARowAreOneGap(t *testing.T) {
	b := newTellingBench(t)
	page, _ := b.page("user.42")
	b.lose()
	first := b.hub.losses.firstUntold()
	b.hub.registry.mu.Lock() // blocks the gap event
	b.comeBack()
	natstest.Await(t, "connection", b.hub.nc.IsConnected)
	b.lose()
	b.hub.registry.mu.Unlock()
	b.comeBack()
	if g := awaitGap(t, page); g.Since != first.UnixMilli() {
		t.Errorf("since %d, lost at %d", g.Since, first.UnixMilli())
	}
	b.allTold()
	b.emit(event("user.42", `["fence"]`))
	if heard := page.take(); !slices.Equal(heard, []string{`["fence"]`}) {
		t.Errorf("heard %q", heard)
	}
}

// If NATS falls silent only pings reveal it. The gap begins when NATS fell silent, or earlier.
func TestGapSinceTheBusFellSilent(t *testing.T) {
	const pings = 700 * time.Millisecond
	s := natstest.Start(t)
	proxy := natstest.StartProxy(t, s)
	nc, err := nats.Connect(proxy.URL(), quick(), nats.IgnoreDiscoveredServers(), nats.PingInterval(pings), nats.MaxPingsOutstanding(2))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	b := &bench{t: t, server: s, hub: newHub(t, nc, telling)}
	page, _ := b.page("user.42")
	proxy.Freeze(true, true)
	silent := time.Now()
	natstest.Await(t, "loss", func() bool { return b.hub.losses.soFar() > 0 })
	if late := time.Since(silent); late < 2*transit && late < 2*pings {
		t.Errorf("found out after %v", late)
	}
	proxy.Cut()
	proxy.Freeze(false, false)
	if g := awaitGap(t, page); g.Since > silent.UnixMilli() {
		t.Errorf("since %v after the silence began", time.Duration(g.Since-silent.UnixMilli())*time.Millisecond)
	}
}

// The gap does not begin before the last answer of NATS.
func TestGapIsNoLongerThanItMustBe(t *testing.T) {
	b := newTellingBench(t)
	registered := time.Now()
	page, _ := b.page("user.42")
	if err := b.hub.nc.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	if g := awaitGap(t, page); g.Since < registered.Add(-transit).UnixMilli() {
		t.Errorf("since %v before the bus answered", time.Duration(registered.UnixMilli()-g.Since)*time.Millisecond)
	}
}

// Gap events go to many sockets at a limited rate, without holding the registry's lock. The event
// is encoded once for each namespace.
func TestTellingIsPaced(t *testing.T) {
	const sockets = 10 * gapBatch
	b := newTellingBench(t)
	var mu sync.Mutex
	told := make(map[*Message]int)
	var times []time.Time
	proceed := make(chan struct{})
	blocked := make(chan struct{}, sockets)
	for i := range sockets {
		c := &pacer{onFlush: func() { blocked <- struct{}{}; <-proceed }}
		c.onSend = func(m *Message) {
			mu.Lock()
			defer mu.Unlock()
			told[m]++
			times = append(times, time.Now())
		}
		to := fmt.Sprint("user.", i)
		if i%2 == 1 {
			to = fmt.Sprint("app.shop.user.", i)
		}
		if err := b.register(attach(c), to); err != nil {
			t.Fatal(err)
		}
	}
	b.lose()
	b.comeBack()
	<-blocked // the first of the first batch
	_, s := b.page("user.new")
	b.hub.Detach(s)
	close(proceed)
	for range sockets - 1 {
		<-blocked
	}
	mu.Lock()
	defer mu.Unlock()
	if took := times[len(times)-1].Sub(times[0]); took < sockets/gapBatch*gapPause-gapPause {
		t.Errorf("all in %v", took)
	}
	if len(told) != 2 {
		t.Errorf("%d messages for two namespaces", len(told))
	}
	for _, n := range told {
		if n != sockets/2 {
			t.Errorf("one message for %d of %d sockets", n, sockets/2)
		}
	}
}

type pacer struct {
	recorder
	onSend  func(*Message)
	onFlush func()
}

func (p *pacer) Send(m *Message) bool { p.onSend(m); return true }
func (p *pacer) Flush() bool          { p.onFlush(); return true }

func TestNobodyIsToldWithoutAGapEvent(t *testing.T) {
	b := newTellingBench(t, func(o *Options) { o.GapEvent = "" })
	page, _ := b.page("user.42")
	b.lose()
	b.comeBack()
	b.allTold()
	b.emit(event("user.42", `["fence"]`))
	if heard := page.take(); !slices.Equal(heard, []string{`["fence"]`}) {
		t.Errorf("heard %q", heard)
	}
}

func TestGapEventIsOneThatCanBeHeard(t *testing.T) {
	for name, ok := range map[string]bool{"": true, "doit:gap": true, "пропуск": true, strings.Repeat("x", 100): true,
		"connect": false, "disconnect": false, "a\xff": false, strings.Repeat("x", 101): false} {
		if err := CheckGapEvent(name); errors.Is(err, ErrGapEvent) == ok || (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
	s := natstest.Start(t)
	if _, err := New(natstest.Connect(t, s), Options{GapEvent: "connect", Metrics: NewMetrics(prometheus.NewRegistry())}); !errors.Is(err, ErrGapEvent) {
		t.Errorf("New: %v", err)
	}
}
