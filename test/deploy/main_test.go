// Package deploy runs what deploy/ and the compose file ship, as it is, with
// the programs that it is for.
package deploy

import (
	"fmt"
	"io"
	"net"
	"net/http"
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
		if binaries, err = os.MkdirTemp("", "doit-socket-deploy-"); err != nil {
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

// start starts gateway or ingest and waits until it listens. It is ended with the test.
func start(t *testing.T, name string, args ...string) *siotest.Program {
	t.Helper()
	p := siotest.Start(t, filepath.Join(binaries, name), args...)
	t.Cleanup(func() {
		if strings.Contains(p.Log(), "DATA RACE") {
			t.Errorf("%s: %s", name, p.Log())
		}
	})
	return p
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %v", url, resp.StatusCode, err)
	}
	return string(body)
}

// freePorts returns ports of 127.0.0.1 that nobody listens on.
func freePorts(t *testing.T, n int) (ports []int) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}
