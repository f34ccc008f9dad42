package e2e

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gobwas/ws"

	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/siotest"
)

// startUnheard starts embedded with few files and the least memory. Its log has no reader from the line on that names
// the private listener.
func startUnheard(t *testing.T, args ...string) *siotest.Program {
	t.Helper()
	path := filepath.Join(t.TempDir(), "embedded")
	script := fmt.Sprintf("#!/bin/bash\nulimit -n %d\nexec '%s' \"$@\" 2> >(exec sed '/private listener/q' >&2)\n", few, filepath.Join(binaries, "embedded"))
	writeProgram(t, path, script)
	return siotest.Start(t, path, append([]string{"--max-memory", fmt.Sprint(16 << 20)}, args...)...)
}

// With no file left, no memory left and no reader of the log, all at once, the private listener answers within a second,
// those that are connected hear, and PHP gets an answer.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	emits := siotest.FreeAddress(t)
	p := startUnheard(t, "--emit-listen", emits)
	page := siotest.Dial(t, p.URL, siotest.Options{})
	page.Register("42")

	// Some send nine tenths of a message, again and again, and the others take what files are left.
	message := ws.MustCompileFrame(ws.MaskFrameInPlace(ws.NewTextFrame([]byte("4" + strings.Repeat("x", 1000_000)))))
	ctx, stop := context.WithCancel(t.Context())
	var attackers sync.WaitGroup
	defer attackers.Wait()
	defer stop()
	for range 32 {
		attackers.Go(func() {
			for ctx.Err() == nil {
				if c, err := siotest.Connect(p.URL, siotest.Options{}); err == nil {
					end := context.AfterFunc(ctx, c.Close)
					_ = c.Write(message[:900_000])
					_, _ = io.Copy(io.Discard, c.Net)
					end()
					c.Close()
				}
			}
		})
	}
	for range few {
		if c, err := siotest.Connect(p.URL, siotest.Options{}); err == nil {
			t.Cleanup(c.Close)
		}
	}
	natstest.Await(t, "no file and no memory", func() bool {
		return metric(t, p, "doit_memory_refused_total", "") > 0 && metric(t, p, "doit_connections_refused_total", `listener="public"`) > 0
	})
	for range 40 {
		if status := within(t, p.Admin, "/healthz"); status != 200 {
			t.Fatalf("private: %d", status)
		}
	}
	siotest.MustPost(t, "http://"+emits, "42", "hello", `1`)
	page.Expect("hello", 1.)
	if strings.Contains(p.Log(), "connections are refused") {
		t.Error("the log has a reader")
	}
}
