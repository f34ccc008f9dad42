package e2e

import (
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/siotest"
)

// serveWithLog starts the embedded program with standard output and error to a
// file, and waits until it is ready. The function that it returns ends it.
func serveWithLog(t *testing.T, stdout, stderr *os.File) (url, admin string, end func() error) {
	t.Helper()
	public, private := siotest.FreeAddress(t), siotest.FreeAddress(t)
	cmd := exec.Command(filepath.Join(binaries, "embedded"), "--listen", public, "--admin-listen", private, "--log-level", "debug")
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	end = func() error {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-ended:
			ended <- err
			return err
		case <-time.After(siotest.Patience):
			_ = cmd.Process.Kill()
			return errors.New("it does not end")
		}
	}
	t.Cleanup(func() { _ = end() })
	natstest.Await(t, "the program to be ready", func() bool {
		select {
		case err := <-ended:
			t.Fatalf("it has ended: %v", err)
		default:
		}
		answer, err := http.Get("http://" + private + "/readyz")
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
	return "http://" + public, "http://" + private, end
}

// emits sends emits that are refused, which is logged, and one that is not.
func emits(t *testing.T, url string, refused int) {
	t.Helper()
	page := siotest.Dial(t, url, siotest.Options{})
	page.Register("42")
	for range refused {
		if status, _ := siotest.Post(t, url, []string{"42"}, "hello", `{`); status != http.StatusBadRequest {
			t.Fatalf("no JSON: %d", status)
		}
	}
	siotest.MustPost(t, url, "42", "hello", `1`)
	page.Expect("hello", 1.)
	http.DefaultClient.CloseIdleConnections()
}

// The reader of the log has gone: the program lives, serves and ends as it should.
func TestLogReaderGone(t *testing.T) {
	t.Parallel()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = read.Close()
	url, admin, end := serveWithLog(t, write, write)
	_ = write.Close()
	emits(t, url, 10)
	if metrics := siotest.MustGet(t, admin+"/metrics"); strings.Contains(metrics, "\ndoit_log_lost_lines_total 0\n") {
		t.Error("no lost line is counted")
	}
	http.DefaultClient.CloseIdleConnections()
	if err := end(); err != nil {
		t.Error(err)
	}
}

// The reader of the log does not read: the program serves, and ends as it should.
// What it logged is there when the log is read again.
func TestLogReaderStuck(t *testing.T) {
	t.Parallel()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = read.Close() }()
	_ = write.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	full, err := write.Write(make([]byte, 1<<20))
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the pipe took %d bytes: %v", full, err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	url, _, end := serveWithLog(t, null, write)
	_ = write.Close()
	emits(t, url, 100)
	if _, err := io.CopyN(io.Discard, read, int64(full)); err != nil {
		t.Fatal(err)
	}
	log := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(read)
		log <- string(text)
	}()
	if err := end(); err != nil {
		t.Error(err)
	}
	if text := <-log; !strings.Contains(text, "private listener") || !strings.Contains(text, "stopping") {
		t.Errorf("logged %q", text)
	}
}

// A program whose log is not read ends all the same.
func TestEndWithStuckLogReader(t *testing.T) {
	t.Parallel()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = read.Close() }()
	_ = write.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	_, _ = write.Write(make([]byte, 1<<20))
	_, _, end := serveWithLog(t, nil, write)
	_ = write.Close()
	http.DefaultClient.CloseIdleConnections()
	if err := end(); err != nil {
		t.Error(err)
	}
}
