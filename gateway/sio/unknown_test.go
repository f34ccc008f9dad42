package sio

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ramainen/doit-socket/internal/natstest"
)

// names are events, and whether somebody meant register or unregister by them.
var names = map[string]bool{
	"regster": true, "Register": true, "REGISTER": true, "registr": true, "regsiter": true, "regisyer": true, "rgeister": true, "registers": true, "registered": true,
	"re-gister": true, "un_register": true, "unRegister": true, "unregistr": true, "deregister": true, "regis ter": true, "Register:": true, "egister": true, "eegistes": true,

	"": false, "x": false, "join": false, "login": false, "message": false, "ping": false, "error": false, "subscribe": false, "regist": true, "regis": false, "registration": false,
	"register_user": false, "чат": false, "\xff": false, "registerregister": false,
}

func TestMisspelt(t *testing.T) {
	for name, want := range names {
		if got := misspelt(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

// Any name of any length is judged, and a name with one fault is found.
func FuzzMisspelt(f *testing.F) {
	for name := range names {
		f.Add(name, byte(3), byte('x'))
	}
	f.Fuzz(func(t *testing.T, name string, at, letter byte) {
		misspelt(name)
		faulty := []byte("unregister")
		faulty[int(at)%len(faulty)] = letter
		if !misspelt(string(faulty)) && letter < 0x80 {
			t.Errorf("%q is not found", faulty)
		}
	})
}

// An event that has no effect is answered where the page asks for that, and counted by kind.
func TestUnknownEvents(t *testing.T) {
	b := start(t)
	for _, revision := range []int{2, 3, 4} {
		for _, polling := range [][]bool{nil, {true}} {
			p := b.join(revision, polling...)
			misspelt, other := b.counter("doit_gateway_unknown_events_total", unknownMisspelt), b.counter("doit_gateway_unknown_events_total", unknownOther)
			p.Send(`421["regster",{"userid":"x"}]`, `422["join",{"user_id":1}]`, `423["ping"]`, `424["error",{}]`, `425["chat","hi",{"userid":1}]`, `4512-6["upload",{"_placeholder":true,"num":0}]`)
			for ack := range 6 {
				p.Expect(fmt.Sprintf("43%d%s", ack+1, unknown))
			}
			p.Send(`42["Register","x"]`, `42["ping"]`)
			p.ExpectAlive()
			if got := b.counter("doit_gateway_unknown_events_total", unknownMisspelt); got != misspelt+3 {
				t.Errorf("%d more are misspelt", got-misspelt)
			}
			if got := b.counter("doit_gateway_unknown_events_total", unknownOther); got != other+5 {
				t.Errorf("%d more are other", got-other)
			}
		}
	}
	if b.hub.Users() != 0 {
		t.Error("somebody is registered")
	}
}

// A warnings is a handler that counts the warnings by their message. It fails the
// test if one has something of the page.
type warnings struct {
	t  testing.TB
	mu sync.Mutex
	n  map[string]int
}

func (w *warnings) Enabled(context.Context, slog.Level) bool { return true }
func (w *warnings) WithAttrs([]slog.Attr) slog.Handler       { return w }
func (w *warnings) WithGroup(string) slog.Handler            { return w }

func (w *warnings) Handle(_ context.Context, r slog.Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := r.Message
	r.Attrs(func(a slog.Attr) bool {
		all += " " + a.String()
		return true
	})
	if strings.Contains(all, "secret") {
		w.t.Errorf("logged: %s", all)
	}
	if r.Level == slog.LevelWarn {
		w.n[r.Message]++
	}
	return nil
}

// A page that is not told that it registered nothing is told of in the log, in one
// message for each kind of mistake, of which the log has one a minute. A page that
// is told is not.
func TestMistakesAreWarnedOf(t *testing.T) {
	b := start(t, func(c *config) { c.SocketIO.MaxIDs = 2 })
	w := &warnings{t: t, n: make(map[string]int)}
	b.log = slog.New(w)
	p := b.join(4)
	for i := range 2 {
		for _, packet := range []string{
			`["register","secret %d"]`, `["register"]`, `["register",{"userId":"secret %d"}]`, `["register",{"userid":[null,"secret %d"]}]`, `["register",{"userid":"","secret":%d}]`,
			`["register",{"userid":9007199254740993,"secret":%d}]`, `["register",{"userid":["secret","b","c",%d]}]`, `["unregister","secret %d"]`, `["regster","secret %d"]`, `["join",{"userid":"secret %d"}]`,
			`["secret",%d]`, `["chat","secret %d"]`,
		} {
			packet = strings.ReplaceAll(packet, "%d", fmt.Sprint(i))
			p.Send("42" + packet)
			p.ExpectAlive()
			p.Send("427" + packet)
			if got := p.Next(); !strings.HasPrefix(got, `437[{"ok":false,"error":"`) {
				t.Errorf("%s: %s", packet, got)
			}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	want := map[string]int{
		"register was refused (argument)": 4, "register was refused (no userid)": 2, "register was refused (invalid)": 4, "register was refused (number)": 2,
		"register was refused (max ids)": 2, "unregister was refused (argument)": 2, "an event that has no effect": 4,
	}
	for said, n := range w.n {
		found := ""
		for part := range want {
			if strings.Contains(said, "a page's "+part) || strings.Contains(said, "a page sent "+part) {
				found = part
			}
		}
		if found == "" || want[found] != n || !strings.Contains(said, "no callback") {
			t.Errorf("%d times %q", n, said)
		}
		delete(want, found)
	}
	if len(want) > 0 {
		t.Errorf("no warning of %q", slices.Sorted(maps.Keys(want)))
	}
	for reason, n := range map[string]int{reasonArgument: 12, reasonNoUserID: 4, reasonInvalid: 8, reasonNumber: 4, reasonIDs: 4} {
		if got := b.counter("doit_gateway_registrations_refused_total", reason); got != n {
			t.Errorf("%d are counted as %q, want %d", got, reason, n)
		}
	}
	natstest.Await(t, "nobody to be registered", func() bool { return b.hub.Users() == 0 })
}
