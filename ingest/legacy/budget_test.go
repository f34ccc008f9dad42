package legacy

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/ingest/publish"
	"github.com/ramainen/doit-socket/internal/budget"
	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/router"
	"github.com/ramainen/doit-socket/internal/wire"
)

// A body for which there is no memory is answered 503, with the time to send it again. Afterwards nothing counts.
func TestBodiesCount(t *testing.T) {
	b := newBench(t)
	b.gw.Holds("u", 1)
	api := New(Config{MaxBody: 1 << 20}, b.publisher, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	api.Budget = budget.New(1 << 20)
	routes := router.New()
	api.Mount(routes)
	post := func(size int) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, "/emit", strings.NewReader(`id=u&message=e&data="`+strings.Repeat("x", size)+`"`))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		routes.ServeHTTP(w, r)
		return w
	}
	if w := post(100_000); w.Code != http.StatusOK || w.Body.String() != "OK" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := post(500_000); w.Code != http.StatusServiceUnavailable || w.Body.String() != "ERROR" || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
	}
	if api.Budget.Used() != 0 || api.Budget.Refused() != 1 {
		t.Errorf("%d bytes count, %d refused", api.Budget.Used(), api.Budget.Refused())
	}
}

// A large emit that would be refused is not read. A small one is.
func TestLargeBodiesAreRefusedUnread(t *testing.T) {
	running, done := make(chan struct{}, 1), make(chan struct{})
	publisher := publish.New(publish.Config{MaxEmitBytes: 64 << 10}, natstest.Connect(t, natstest.Start(t)), prometheus.NewRegistry())
	publisher.UseGateway(func() bool { return true }, func(_ context.Context, _ time.Duration, _ wire.Message, subjects []string, _ bool) []int {
		running <- struct{}{}
		<-done
		return make([]int, len(subjects))
	})
	api := New(Config{MaxBody: 1 << 20}, publisher, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	post := func(body string) (read int, err error) {
		r := httptest.NewRequest(http.MethodPost, "/emit", nil)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		in := strings.NewReader(body)
		r.Body, r.ContentLength = io.NopCloser(in), in.Size()
		_, err = api.post(httptest.NewRecorder(), r)
		return len(body) - in.Len(), err
	}
	large := "id=u&message=e&data=%22" + strings.Repeat("x", 60_000) + "%22"
	var first sync.WaitGroup
	first.Go(func() { _, _ = post(large) })
	<-running
	if read, err := post(large); read != 0 || !errors.Is(err, publish.ErrBusy) {
		t.Errorf("a large one: %d bytes are read, %v", read, err)
	}
	first.Go(func() { _, _ = post("id=u&message=e") })
	<-running
	close(done)
	first.Wait()
}
