// Package e2e runs the programs as their users do: as processes, with real
// sockets, real PHP and a real nats-server.
package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/ramainen/doit-socket/internal/siotest"
)

// binaries is where TestMain builds the programs, with the race detector.
var binaries string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if binaries, err = siotest.Build("-race"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(binaries) }()
		_ = os.Setenv("DOIT_DRAIN", "100ms") // a flag wins
		return m.Run()
	}())
}

// start starts embedded, gateway or ingest and waits until it listens. It is ended with the test.
func start(t testing.TB, name string, args ...string) *siotest.Program {
	t.Helper()
	return siotest.Start(t, filepath.Join(binaries, name), args...)
}
