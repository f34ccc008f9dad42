package siotest

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Build builds our programs, with flags of go build and what else it shall
// build, into a directory that it makes. The caller removes it.
func Build(args ...string) (dir string, err error) {
	if dir, err = os.MkdirTemp("", "doit-socket-test-"); err != nil {
		return "", err
	}
	args = append([]string{"build", "-o", dir + "/"}, args...)
	const module = "github.com/ramainen/doit-socket/"
	build := exec.Command("go", append(args, module+"embedded", module+"gateway", module+"ingest")...)
	if out, err := build.CombinedOutput(); err != nil {
		_ = os.RemoveAll(dir)
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return dir, nil
}

// Main is TestMain where our programs are run as their users do: it builds
// them, with the race detector where the tests have it, and sets binaries to
// their directory before the tests run. It does not return.
func Main(m *testing.M, binaries *string) {
	if !slices.Contains(strings.Split(builtWith("-tags"), ","), "programs") {
		fmt.Println("Not run, because -tags programs is not given: tests that start PHP, ss, haproxy, nginx, caddy, " +
			"systemd-analyze or kubectl. `make test` installs these programs and runs all tests.")
	}
	os.Exit(func() int {
		var flags []string
		if builtWith("-race") == "true" {
			flags = append(flags, "-race")
		}
		var err error
		if *binaries, err = Build(flags...); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(*binaries) }()
		_ = os.Setenv("DOIT_DRAIN", "100ms") // a flag wins
		return m.Run()
	}())
}

// builtWith returns the value that the test's own build had for a flag of go build.
func builtWith(flag string) string {
	info, _ := debug.ReadBuildInfo()
	for _, setting := range info.Settings {
		if setting.Key == flag {
			return setting.Value
		}
	}
	return ""
}

var (
	portsMu sync.Mutex
	ports   = make(map[int]bool) // those that were given away
)

// FreePort returns a port that nobody has, on any address, each time another.
// It is below those that the system takes for connections: a program that is
// to listen on it would now and then find one there.
func FreePort(t testing.TB) int {
	t.Helper()
	portsMu.Lock()
	defer portsMu.Unlock()
	for range 1000 {
		port := 10_000 + rand.IntN(20_000)
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			continue
		}
		_ = l.Close()
		if !ports[port] {
			ports[port] = true
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

// FreeAddress returns such a port of 127.0.0.1.
func FreeAddress(t testing.TB) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", FreePort(t))
}

// Get returns status and body.
func Get(t testing.TB, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, resp)
}

// read returns status and body, and closes it.
func read(t testing.TB, resp *http.Response) (int, string) {
	t.Helper()
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// MustGet returns the body, and fails the test unless the status is 200.
func MustGet(t testing.TB, url string) string {
	t.Helper()
	status, body := Get(t, url)
	if status != http.StatusOK {
		t.Fatalf("%s: %d %s", url, status, body)
	}
	return body
}

// Output is a Writer that can be read while it is written.
type Output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
