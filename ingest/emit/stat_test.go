package emit

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ramainen/doit-socket/internal/wire"
)

// The sum waits for the slower nodes, one after the other, and for no node for long.
func TestStatWaitsForSlowNodes(t *testing.T) {
	b := newBench(t)
	in := newIngest(t, b.server.ClientURL())
	for i := range 4 {
		b.subscribe(wire.SubjectStat, func(m *nats.Msg) {
			time.AfterFunc(time.Duration(i)*statStall/2, func() { _ = m.Respond([]byte("10 1 gw")) })
		})
	}
	began := time.Now()
	if total, err := in.stat(); err != nil || total != 44 {
		t.Errorf("%d, %v", total, err)
	}
	if took := time.Since(began); took > bound {
		t.Errorf("took %v", took)
	}
}

// A sum that is not known is not told.
func TestStatUnknown(t *testing.T) {
	for name, answer := range map[string]func(*nats.Msg){
		"silent": func(*nats.Msg) {},
		"liar":   func(m *nats.Msg) { _ = m.Respond([]byte("many")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.subscribe(wire.SubjectStat, answer)
			if status, body := b.do("GET", "/stat/all", ""); status != 503 || body != "ERROR" {
				t.Errorf("%d %s", status, body)
			}
		})
	}
}
