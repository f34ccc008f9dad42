package relay

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ramainen/doit-socket/internal/natstest"
)

// one is a listener for one connection in memory.
type one chan net.Conn

func (l one) Accept() (net.Conn, error) {
	c, ok := <-l
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (l one) Close() error { return nil }

func (l one) Addr() net.Addr { return address("pipe") }

// A browser that reads steadily gets an answer of another node however long that takes: longer than writeTime, and than
// net/http's own timeout. One that takes a byte now and then does not.
func TestSlowAnswer(t *testing.T) {
	const size = 1 << 20
	for name, c := range map[string]struct {
		each int64 // bytes that the browser takes at a time
		want string
	}{
		"steady":    {32 << 10, resultPassed},
		"trickling": {1, resultFailed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				result := make(chan string, 1)
				server := &http.Server{
					WriteTimeout: time.Minute, // as in internal/listen
					ErrorLog:     slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
					Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
						result <- sendAnswer(w, &http.Response{
							StatusCode: http.StatusOK, Header: http.Header{"Content-Length": {strconv.Itoa(size)}},
							Body: io.NopCloser(strings.NewReader(strings.Repeat("x", size))),
						})
					}),
				}
				here, there := net.Pipe()
				conns := make(one, 1)
				conns <- there
				served := make(chan error, 1)
				go func() { served <- server.Serve(conns) }()
				defer func() {
					_ = here.Close()
					close(conns)
					<-served
					_ = server.Close()
				}()
				began := time.Now()
				if _, err := io.WriteString(here, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				resp, err := http.ReadResponse(bufio.NewReaderSize(here, 16), nil)
				if err != nil {
					t.Fatal(err)
				}
				for err == nil {
					time.Sleep(writeTime * 9 / 10)
					_, err = io.CopyN(io.Discard, resp.Body, c.each)
				}
				if r := <-result; r != c.want {
					t.Errorf("%s, want %s", r, c.want)
				}
				if took := time.Since(began); c.want == resultPassed && took < 10*writeTime {
					t.Errorf("it took %v: the test has shown nothing", took)
				}
			})
		})
	}
}

// After a standstill of this node its peers are not considered silent: their messages wait to be read.
func TestStandstill(t *testing.T) {
	here, _, nodes := pair(t)
	silent := func() {
		nodes[0].peers.mu.Lock()
		defer nodes[0].peers.mu.Unlock()
		if known := nodes[0].peers.known[nodes[1].Name]; known != nil {
			known.heard = time.Now().Add(-time.Hour)
		}
	}
	silent()
	nodes[0].pulse.beat(true)
	if err := here.cause(); err != nil {
		t.Errorf("after a standstill: %v", err)
	}
	natstest.Await(t, "the end", func() bool {
		silent()
		nodes[0].pulse.beat(false)
		return here.cause() != nil
	})
	wantErr(t, "cause", here.cause(), errSilent)
}

// A pulse that comes late says so.
func TestLatePulse(t *testing.T) {
	for gap, want := range map[time.Duration]bool{pulseTime: false, 2 * pulseTime: false, silence: true} {
		if got := stoodStill(gap); got != want {
			t.Errorf("%v between two beats: %v", gap, got)
		}
	}
}
