package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ramainen/doit-socket/embedded/box"
	"github.com/ramainen/doit-socket/internal/daemon"
	"github.com/ramainen/doit-socket/internal/siotest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var run = box.Run

// serve runs the program until the test ends.
func serve(t *testing.T, args ...string) (stdout *siotest.Output) {
	t.Helper()
	return serveOn(t, "127.0.0.1:0", args...)
}

func serveOn(t *testing.T, admin string, args ...string) (stdout *siotest.Output) {
	t.Helper()
	stdout, stderr := &siotest.Output{}, &siotest.Output{}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, append(args, "--listen", "127.0.0.1:0", "--admin-listen", admin, "--drain", "50ms"), stdout, stderr)
	}()
	t.Cleanup(func() {
		cancel()
		http.DefaultClient.CloseIdleConnections()
		if err := <-ended; err != nil {
			t.Errorf("ended with %v\n%s", err, stderr)
		}
	})
	for deadline := time.Now().Add(siotest.Patience); !strings.Contains(stdout.String(), "try it"); {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("ended at once: %v", err)
		case <-time.After(time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("does not start")
		}
	}
	return stdout
}

func urlIn(t *testing.T, out *siotest.Output, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern + `(http://[0-9.:]+)`).FindStringSubmatch(out.String())
	if m == nil {
		t.Fatalf("no %s in %s", pattern, out)
	}
	return m[1]
}

// The addresses that the program prints work for a page and for PHP, and nothing keeps running
// after its end.
func TestRun(t *testing.T) {
	out := serve(t)
	url := urlIn(t, out, "listens on ")
	page := siotest.Dial(t, url, siotest.Options{})
	page.Register("42")
	siotest.MustPost(t, urlIn(t, out, `file_get_contents\('`), "42", "hello", `{"text":"Hi"}`)
	page.Expect("hello", map[string]any{"text": "Hi"})
}

func TestEmitListenMovesEmit(t *testing.T) {
	out := serve(t, "--emit-listen", "127.0.0.1:0")
	public, private := urlIn(t, out, "listens on "), urlIn(t, out, `file_get_contents\('`)
	if public == private {
		t.Fatal("one address for both")
	}
	for url, want := range map[string]int{public + "/emit?id=1&message=e": 404, private + "/emit?id=1&message=e": 200, private + "/readyz": 200, private + "/socket.io/": 404} {
		resp, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", url, resp.StatusCode, want)
		}
	}
}

// Every flag has an environment variable.
func TestHelp(t *testing.T) {
	var help bytes.Buffer
	if err := run(context.Background(), []string{"--help"}, &help, io.Discard); err != nil {
		t.Fatal(err)
	}
	flat := strings.Join(strings.Fields(help.String()), " ")
	flags := regexp.MustCompile(`--([a-z-]+)[= ]`).FindAllStringSubmatch(flat, -1)
	if len(flags) < 10 {
		t.Fatalf("%d flags in %s", len(flags), flat)
	}
	for _, flag := range flags {
		variable := "$DOIT_" + strings.ToUpper(strings.ReplaceAll(flag[1], "-", "_"))
		if flag[1] != "help" && flag[1] != "version" && flag[1] != "healthcheck" && !strings.Contains(flat, variable) {
			t.Errorf("--%s has no %s", flag[1], variable)
		}
	}
}

func TestBadUsage(t *testing.T) {
	for _, args := range [][]string{{"--max-body", "9000000"}, {"--max-body", "0"}, {"--max-emits=-1"}, {"--max-emit-bytes=-1"}, {"--listen", ":0"}, {"--emit-listen", ":0"}, {"--emit-listen", "0.0.0.0:0"}, {"--node", "a b"}, {"--nonsense"},
		{"--ping-interval", "0s"}, {"--queue-length", "0"}, {"--connect-timeout", "0s"}, {"--settle=-1s"}, {"--max-frames=-1"}, {"--origins", "shop.example"}, {"--trusted-proxies", "x"}} {
		if err := run(context.Background(), args, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), daemon.ErrUsage.Error()) {
			t.Errorf("%v: %v", args, err)
		}
	}
}
