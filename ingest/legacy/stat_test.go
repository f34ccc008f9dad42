package legacy

import (
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/ramainen/doit-socket/internal/wire"
)

// The answer is 503 if the sum is not known.
func TestStatUnknown(t *testing.T) {
	for name, answer := range map[string]func(*nats.Msg){
		"silent": func(*nats.Msg) {},
		"liar":   func(m *nats.Msg) { _ = m.Respond([]byte("many")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.gw.On(wire.SubjectStat, answer)
			if status, body := b.do("GET", "/stat/all", ""); status != 503 || body != "ERROR" {
				t.Errorf("%d %s", status, body)
			}
		})
	}
}
