// Package e2e runs the programs as their users do: as processes, with real
// sockets, real PHP and a real nats-server. Tests that start other programs
// than ours have the build tag programs, which make test sets.
package e2e

import (
	"path/filepath"
	"testing"

	"github.com/ramainen/doit-socket/internal/siotest"
)

// binaries is where the programs are built, with the race detector.
var binaries string

func TestMain(m *testing.M) { siotest.Main(m, &binaries) }

// start starts embedded, gateway or ingest and waits until it listens. It is ended with the test.
func start(t testing.TB, name string, args ...string) *siotest.Program {
	t.Helper()
	return siotest.Start(t, filepath.Join(binaries, name), args...)
}
