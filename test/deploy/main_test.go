// Package deploy runs what deploy/ and the compose file ship, as it is, with
// the programs that it is for. Tests that start other programs than ours have
// the build tag programs or compose, which make sets.
package deploy

import (
	"net/http"
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

// status asks for a page and returns the status, 0 where nothing answers.
func status(url string) int {
	resp, err := http.Get(url)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
