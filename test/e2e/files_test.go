package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/siotest"
)

// startWithFiles is start for a program that may have so many files open.
func startWithFiles(t *testing.T, files int, name string, args ...string) *siotest.Program {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	script := fmt.Sprintf("#!/bin/sh\nulimit -n %d\nexec '%s' \"$@\"\n", files, filepath.Join(binaries, name))
	writeProgram(t, path, script)
	return siotest.Start(t, path, args...)
}

// within gets a page on a connection of its own and fails the test if that takes
// longer than a second. It does not use net/http's client, which takes an answer
// that comes before its request for an error.
func within(t *testing.T, base, path string) (status int) {
	t.Helper()
	c, err := siotest.Begin(base, siotest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Net.Close() }()
	_ = c.Net.SetDeadline(time.Now().Add(time.Second))
	_, _ = io.WriteString(c.Net, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	answer, err := http.ReadResponse(c.In, nil)
	if err != nil {
		t.Fatalf("%s%s: %v", base, path, err)
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

// metric returns the sum of a metric's series whose labels contain a text.
func metric(t *testing.T, p *siotest.Program, name, labels string) (sum float64) {
	t.Helper()
	series := regexp.MustCompile(`(?m)^` + name + `(?:\{(.*)\})? (\S+)$`)
	for _, m := range series.FindAllStringSubmatch(siotest.MustGet(t, p.Admin+"/metrics"), -1) {
		if strings.Contains(m[1], labels) {
			n, err := strconv.ParseFloat(m[2], 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += n
		}
	}
	return sum
}

const few = 256 // files

// Connections that asked once and stay, and ones that never ask, take no file that
// somebody needs: more of them than there are files.
func TestIdleStrangersTakeNoFiles(t *testing.T) {
	t.Parallel()
	p := startWithFiles(t, few, "embedded")
	page := siotest.Dial(t, p.URL, siotest.Options{})
	page.Register("42")
	for i := range 2 * 300 {
		stranger, err := siotest.Begin(p.URL, siotest.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = stranger.Net.Close() })
		if i%2 == 0 {
			if err := stranger.Write([]byte("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
				t.Fatal(err)
			}
			if _, err := http.ReadResponse(stranger.In, nil); err != nil {
				t.Fatalf("stranger %d: %v", i, err)
			}
		}
	}
	if status := within(t, p.Admin, "/healthz"); status != 200 {
		t.Errorf("private: %d", status)
	}
	siotest.MustPost(t, p.URL, "42", "hello", `1`)
	page.Expect("hello", 1.)
	siotest.Dial(t, p.URL, siotest.Options{Polling: true}).Register("43")
	if n := metric(t, p, "doit_connections_evicted_total", `state="idle"`); n < 100 {
		t.Errorf("%v idle connections made room", n)
	}
	if n := metric(t, p, "doit_connections_refused_total", ""); n > 0 {
		t.Errorf("%v are refused", n)
	}
}

// With as many websockets as the files allow, the private listener answers, those
// that are connected hear, and PHP gets an answer. Afterwards all is as before.
func TestBusyStrangersTakeNoFiles(t *testing.T) {
	t.Parallel()
	emits := siotest.FreeAddress(t)
	p := startWithFiles(t, few, "embedded", "--emit-listen", emits)
	page := siotest.Dial(t, p.URL, siotest.Options{})
	page.Register("42")
	if !strings.Contains(p.Log(), "--max-sockets cannot be reached") {
		t.Error("it does not say that there are too few files")
	}
	var strangers []*siotest.Conn
	for range few {
		if c, err := siotest.Connect(p.URL, siotest.Options{}); err == nil {
			strangers = append(strangers, c)
		}
	}
	if n := len(strangers); n < few/4 || n > few/2 {
		t.Errorf("%d strangers are connected", n)
	}
	for range 40 { // more than the private listener has: they make room for each other
		if status := within(t, p.Admin, "/healthz"); status != 200 {
			t.Fatalf("private: %d", status)
		}
	}
	if status := within(t, p.URL, "/"); status != 503 {
		t.Errorf("public: %d", status)
	}
	siotest.MustPost(t, "http://"+emits, "42", "hello", `1`)
	page.Expect("hello", 1.)
	if n := metric(t, p, "doit_connections_refused_total", `listener="public"`); n < few/4 {
		t.Errorf("%v are counted as refused", n)
	}
	if n := strings.Count(p.Log(), "connections are refused"); n != 1 {
		t.Errorf("%d lines in the log:\n%s", n, p.Log())
	}
	for _, c := range strangers {
		_ = c.Net.Close()
	}
	http.DefaultClient.CloseIdleConnections()
	natstest.Await(t, "the connections to be uncounted", func() bool { return metric(t, p, "doit_connections", `listener="public"`) == 1 })
	if status := within(t, p.URL, "/"); status != 200 {
		t.Errorf("afterwards: %d", status)
	}
}

// writeProgram writes a script that can be run at once. A process that another test forks while the file is open for
// writing would keep it open, and the kernel runs no such file (ETXTBSY).
func writeProgram(t *testing.T, path, script string) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
}
