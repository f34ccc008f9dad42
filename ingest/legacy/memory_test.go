package legacy

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/wire"
)

// xs is an endless text.
type xs struct{}

func (xs) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

// An emit that waits has forgotten its body, and what was parsed of it.
func TestAWaitingPostForgetsItsBody(t *testing.T) {
	const size = 8 << 20
	inUse := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // once more for what pools hold
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	for about, c := range map[string]struct{ contentType, before, after string }{
		"form":      {formType, "id=u&message=e&x=", "&data=1"},
		"JSON":      {jsonType, `{"id":"u","message":"e","x":"`, `","data":1}`},
		"multipart": {"multipart/form-data; boundary=b", "--b\n\n", "\n--b\ncontent-disposition:;name=id\n\nu\n--b\ncontent-disposition:;name=message\n\ne\n--b--"},
	} {
		b := newBench(t)
		var before, during int64
		b.publisher.UseGateway(func() bool { return true }, func(context.Context, time.Duration, wire.Message, []string, bool) []int {
			during = inUse()
			return []int{1}
		})
		w := newWitness(b.publisher, func(a *API) { a.config.MaxBody = 2 * size })
		r := httptest.NewRequest(http.MethodPost, "/emit", nil)
		r.Header.Set("Content-Type", c.contentType)
		r.ContentLength = -1
		r.Body = io.NopCloser(io.MultiReader(strings.NewReader(c.before), io.LimitReader(xs{}, size), strings.NewReader(c.after)))
		answer := httptest.NewRecorder()
		before = inUse()
		w.routes.ServeHTTP(answer, r)
		if answer.Body.String() != "OK" || answer.Header()["Doit-Error"] != nil {
			t.Fatalf("%s: %d %s %v", about, answer.Code, answer.Body, answer.Header())
		}
		if held := during - before; held > size/8 {
			t.Errorf("%s: a body of %d bytes holds %d while its emit waits", about, size, held)
		}
	}
}
