package legacy

import (
	"bytes"
	"log/slog"
	"net/http/httptest"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/router"
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

// A request while NATS is down is counted, and writes nothing into the log.
func TestStatLogsNothing(t *testing.T) {
	const requests = 100
	b := newBench(t)
	natstest.Stop(b.server)
	var log bytes.Buffer
	r, reg := router.New(), prometheus.NewRegistry()
	New(Config{}, b.publisher, slog.New(slog.NewTextHandler(&log, nil)), reg).Mount(r)
	for range requests {
		w := httptest.NewRecorder()
		if r.ServeHTTP(w, httptest.NewRequest("GET", "/stat/all", nil)); w.Code != 503 {
			t.Fatal(w.Code)
		}
	}
	if log.Len() > 0 {
		t.Errorf("logged %s", log.String())
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := 0.
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == "doit_ingest_stats_total" && m.GetLabel()[0].GetValue() == "503" {
				counted = m.GetCounter().GetValue()
			}
		}
	}
	if counted != requests {
		t.Errorf("%v are counted", counted)
	}
}
