//go:build soak

// Package soak shows that the socket edge holds: it puts load and strangers on
// the programs as their users run them, as processes, without the race
// detector, and reads what they hold on the private listener.
//
// `make edge` runs all of it once, `make soak` the churn for hours. Each test
// prints its figures; with -soak.scale=0.1 it does a tenth of the work.
package soak

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/siotest"
)

var (
	scale    = flag.Float64("soak.scale", 1, "part of the full counts")
	duration = flag.Duration("soak.duration", 10*time.Minute, "how long the churn lasts")
	rest     = flag.Duration("soak.rest", 2*time.Minute, "how long the churn's server rests before it is measured")
)

// scaled is a full count, or the part of it that was asked for.
func scaled(full int) int { return max(1, int(float64(full)**scale)) }

// binaries is where the programs are built. DOIT_SOAK_BINARIES names a
// directory where they are already.
var binaries = os.Getenv("DOIT_SOAK_BINARIES")

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		if binaries != "" {
			return m.Run()
		}
		var err error
		if binaries, err = siotest.Build("github.com/nats-io/nats-server/v2"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(binaries) }()
		return m.Run()
	}())
}

// manyAddresses lifts the limit of new ids for each address, for loads whose pages stand for browsers of many addresses.
const manyAddresses = "--max-new-ids-per-address=0"

func start(t testing.TB, name string, args ...string) *siotest.Program {
	t.Helper()
	return siotest.Start(t, filepath.Join(binaries, name), args...)
}
