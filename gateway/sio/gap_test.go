package sio

import (
	"regexp"
	"testing"

	"github.com/ramainen/doit-socket/internal/siotest"
)

// A page with a client of any version is told that it may have missed events,
// unless it has registered nothing.
func TestGapIsHeard(t *testing.T) {
	b := start(t, func(c *config) { c.GapEvent = "пропуск" })
	idle := b.join(4)
	pages := map[*siotest.Tab]string{b.join(4): "пропуск", b.join(3): `\u043f\u0440\u043e\u043f\u0443\u0441\u043a`, b.join(3, true): `\u043f\u0440\u043e\u043f\u0443\u0441\u043a`}
	for page := range pages {
		page.Register("42")
	}
	if err := b.bus.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	for page, name := range pages {
		want := regexp.MustCompile(`^42\["` + regexp.QuoteMeta(name) + `",\{"since":[0-9]{13},"reason":"bus"\}\]$`)
		if got := page.Next(); !want.MatchString(got) {
			t.Errorf("heard %s, want %s", got, want)
		}
		page.ExpectAlive()
	}
	idle.ExpectAlive()
}

func TestMaxIDs(t *testing.T) {
	b := start(t, func(c *config) { c.SocketIO.MaxIDs = 2 })
	p := b.join(4)
	const tooMany = `[{"ok":false,"error":"too many ids: a socket may hold 2"}]`
	p.Send(`421["register",{"userid":[1,2,3]}]`)
	p.Expect("431" + tooMany)
	p.Send(`422["register",{"userid":[1,2]}]`)
	p.Expect(`432[{"ok":true}]`)
	p.Send(`423["register",{"userid":3}]`)
	p.Expect("433" + tooMany)
}

// The hub's counters have their labels from the start.
func TestCountersStartAtZero(t *testing.T) {
	b := start(t)
	families, err := b.counted.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := map[string]int{}
	for _, f := range families {
		series[f.GetName()] = len(f.GetMetric())
	}
	for name, want := range map[string]int{"doit_gateway_dropped_total": 4, "doit_gateway_gaps_total": 2, "doit_gateway_registrations_total": 4} {
		if series[name] != want {
			t.Errorf("%s: %d series, want %d", name, series[name], want)
		}
	}
}
