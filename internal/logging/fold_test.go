package logging

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ramainen/doit-socket/internal/siotest"
)

// wantLines checks how many lines a log has, and that it has these texts.
func wantLines(t *testing.T, log *siotest.Output, lines int, texts ...string) {
	t.Helper()
	if n := strings.Count(log.String(), "\n"); n != lines {
		t.Errorf("%d lines, want %d: %s", n, lines, log.String())
	}
	for _, text := range texts {
		if !strings.Contains(log.String(), text) {
			t.Errorf("%q is not in %s", text, log.String())
		}
	}
}

// Two thousand warnings that differ in addresses and errors are one line at once, and one line a minute with their
// number. Warnings of another kind, and what is no warning, are logged at once.
func TestLogFolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out, debug siotest.Output
		log, verbose := New("info", &out), New("debug", &debug)
		for i := range 2000 {
			for _, l := range []*slog.Logger{log, verbose} {
				l.Warn(fmt.Sprintf("http: panic serving 10.0.0.9:%d: oops\ngoroutine %d", i, i), "error", i)
			}
		}
		wantLines(t, &out, 1, "10.0.0.9:0")
		wantLines(t, &debug, 2000, "level=DEBUG msg=\"http: panic serving 10.0.0.9:1999")
		for range 2 {
			log.Info("started")
			log.Warn("stat failed", "error", "a")
			log.Error("stat failed", "error", "b")
			log.With("connection", "ingest").Warn("stat failed")
			log.With("connection", "gateway").Warn("stat failed")
			log.WithGroup("group").Warn("stat failed", "error", "c")
		}
		wantLines(t, &out, 8)
		time.Sleep(repeatInterval - time.Second)
		synctest.Wait()
		wantLines(t, &out, 8)
		time.Sleep(time.Second)
		synctest.Wait()
		wantLines(t, &out, 14, "10.0.0.9:1999", "error=1999 repeated=1999", "level=ERROR msg=\"stat failed\" error=b repeated=1",
			"connection=gateway repeated=1", "group.error=c")
		time.Sleep(2 * repeatInterval)
		synctest.Wait()
		wantLines(t, &out, 14)
		log.Warn("stat failed", "error", "d")
		wantLines(t, &out, 15, "error=d\n")
	})
}

// However many kinds a visitor can cause, the log gets a bounded number of lines, and memory does not grow.
func TestLogFoldsManyKinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out siotest.Output
		log := New("info", &out)
		word := func(i int) string { return strings.Map(func(r rune) rune { return r - '0' + 'a' }, fmt.Sprint(i)) }
		for i := range 10_000 {
			log.Warn(word(i))
		}
		wantLines(t, &out, maxKinds+1)
		time.Sleep(repeatInterval)
		synctest.Wait()
		wantLines(t, &out, maxKinds+2, fmt.Sprintf("repeated=%d", 10_000-maxKinds-1))
		log.Warn(word(20_000)) // the old kinds are forgotten
		wantLines(t, &out, maxKinds+3)
	})
}
