package legacy

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ramainen/doit-socket/internal/wire"
)

// The cost of an emit from its form to its answer, by carrier and number of receivers. The gateway does nothing. Over
// NATS the figure includes the gateway's part of the round trip.
func BenchmarkEmit(b *testing.B) {
	for _, carrier := range []string{"process", "bus"} {
		for _, receivers := range []int{1, 10, 100} {
			b.Run(fmt.Sprintf("%s-%d", carrier, receivers), func(b *testing.B) {
				bench := newBench(b)
				if carrier == "process" {
					bench.publisher.UseGateway(func() bool { return true }, func(_ context.Context, _ time.Duration, _ wire.Message, subjects []string, _ bool) []int {
						return slices.Repeat([]int{1}, len(subjects))
					})
				} else {
					bench.gw.On("user.*", func(m *nats.Msg) { _ = m.Respond([]byte("1 gw")) })
				}
				var form strings.Builder
				for i := range receivers {
					fmt.Fprintf(&form, "id[]=d41d8cd98f00b%03d&", i)
				}
				body := []byte(form.String() + "message=e&data={\"a\":1}")
				b.ReportAllocs()
				for b.Loop() {
					r := httptest.NewRequest(http.MethodPost, "/emit", bytes.NewReader(body))
					r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
					w := httptest.NewRecorder()
					bench.http.Config.Handler.ServeHTTP(w, r)
					if w.Body.String() != "OK" {
						b.Fatal(w.Body)
					}
				}
			})
		}
	}
}
