package listen

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/siotest"

	"golang.org/x/sys/unix"
)

// The kernel holds a bounded number of bytes for a reader that stalls.
func TestSendBuffer(t *testing.T) {
	hijacked := make(chan net.Conn, 1)
	_, s := limited(t, connectionLimits{}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
		}
		hijacked <- conn
	}), io.Discard)
	call(t, s, "127.0.0.1").say("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	conn := <-hijacked
	defer func() { _ = conn.Close() }()
	raw, err := conn.(*connection).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	size, taken, timeout := 0, 0, 0
	if err := raw.Control(func(fd uintptr) {
		size, _ = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF)
		timeout, _ = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
	}); err != nil {
		t.Fatal(err)
	}
	if timeout != 60_000 {
		t.Errorf("the kernel keeps what is not read for %d ms", timeout)
	}
	if size != 2*sendBuffer {
		t.Errorf("the send buffer is %d, want %d", size, 2*sendBuffer)
	}
	chunk := make([]byte, 900<<10)
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	for {
		n, err := conn.Write(chunk)
		taken += n
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("the kernel took %d bytes on both sides", taken)
}

// exhaust takes all files of the process but those that free asks for. The
// function that it returns gives some back.
func exhaust(t *testing.T) (free func(n int)) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	low := limit
	low.Cur = 200
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	var files []*os.File
	free = func(n int) {
		for _, f := range files[:n] {
			_ = f.Close()
		}
		files = files[n:]
	}
	t.Cleanup(func() {
		free(len(files))
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
	})
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			if !noFile(err) {
				t.Fatal(err)
			}
			return free
		}
		files = append(files, f)
	}
}

// oneFree reports whether the process may open one more file and no second one.
func oneFree() bool {
	first, err := os.Open(os.DevNull)
	if err != nil {
		return false
	}
	defer func() { _ = first.Close() }()
	second, err := os.Open(os.DevNull)
	if err == nil {
		_ = second.Close()
	}
	return err != nil
}

// With no file left the private listener answers within a second, again and
// again, and the public one says why it does not serve.
func TestNoFilesLeft(t *testing.T) {
	var log siotest.Output
	ls, public := limited(t, connectionLimits{}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), &log)
	admin, err := ls.listen(Private, "127.0.0.1:0", newConnections(privateLimits(0), nil, ls.metrics))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Shutdown()
	admin.Serve(nothing, ls.log, func(err error) { t.Error(err) })
	for _, s := range []*Server{public, admin} { // each holds its file in reserve now
		c := call(t, s, "127.0.0.1")
		c.say("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		if answer, _ := c.answer(); answer.StatusCode != 200 {
			t.Fatal(answer.StatusCode)
		}
		c.gone()
	}

	free := exhaust(t)
	free(1) // for the client's side
	for range 3 {
		began := time.Now()
		c := call(t, admin, "127.0.0.1")
		c.say("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		if answer, _ := c.answer(); answer.StatusCode != 200 || time.Since(began) > time.Second {
			t.Errorf("private: %d after %v", answer.StatusCode, time.Since(began))
		}
		_ = c.conn.Close()
	}
	natstest.Await(t, "the private listener to have its file in reserve again", func() bool {
		l := admin.listener.(*listener)
		return l.connections.openOf(l) == 0 && oneFree()
	})
	c := call(t, public, "127.0.0.1")
	c.say("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if answer, body := c.answer(); answer.StatusCode != 503 || !strings.Contains(body, "no file left") {
		t.Errorf("public: %d %q", answer.StatusCode, body)
	}
	_ = c.conn.Close()

	free(20)
	natstest.Await(t, "the public listener to serve again", func() bool {
		return call(t, public, "127.0.0.1").get("/") == 200
	})
}
