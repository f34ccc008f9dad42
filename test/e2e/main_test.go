// Package e2e runs the programs as their users do: as processes, with real
// sockets, real PHP and a real nats-server.
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ramainen/doit-socket/internal/siotest"
)

// binaries is where TestMain builds the programs, with the race detector.
var binaries string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if binaries, err = os.MkdirTemp("", "doit-socket-e2e-"); err != nil {
			panic(err)
		}
		defer func() { _ = os.RemoveAll(binaries) }()
		build := exec.Command("go", "build", "-race", "-o", binaries+"/", "../../embedded", "../../gateway", "../../ingest")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%s%v\n", out, err)
			return 1
		}
		_ = os.Setenv("DOIT_DRAIN", "100ms") // a flag wins
		return m.Run()
	}())
}

// start starts embedded, gateway or ingest and waits until it listens. It is
// ended with the test.
func start(t testing.TB, name string, args ...string) *siotest.Program {
	t.Helper()
	var p *siotest.Program
	t.Cleanup(func() { // when it has ended
		if p != nil && strings.Contains(p.Log(), "DATA RACE") {
			t.Errorf("%s: %s", name, p.Log())
		}
	})
	p = siotest.Start(t, filepath.Join(binaries, name), args...)
	return p
}
