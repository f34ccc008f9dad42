package relay

import (
	"log/slog"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/internal/natstest"
)

// The answer of NATS that no node has the name in an invented session id, at a node with 10,000 streams.
func BenchmarkNobody(b *testing.B) {
	n := New(natstest.Connect(b, natstest.Start(b)), 0, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	for range 10_000 {
		if _, err := n.table.open(n.local, "0123456789abcdef"); err != nil {
			b.Fatal(err)
		}
	}
	msg := &nats.Msg{Subject: subjectNobody(n.Name, 1<<40), Header: nats.Header{"Status": {"503"}}}
	for b.Loop() {
		n.receiveNobody(msg)
	}
}
