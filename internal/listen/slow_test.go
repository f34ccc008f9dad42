package listen

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The connection of a browser that does not send the body it announced, or does
// not read the answer, is closed, on every path.
func TestSlowBrowsers(t *testing.T) {
	for name, c := range map[string]struct {
		request string
		within  time.Duration
		reads   bool
	}{
		"body never comes": {"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n", bodyTimeout, true},
		"answer unread":    {"GET / HTTP/1.1\r\nHost: test\r\n\r\n", answerTimeout, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				here, there := net.Pipe() // takes nothing that is not read
				s := &Server{listener: &oneConn{conn: there, closed: make(chan struct{})}}
				s.Serve(http.NotFoundHandler(), slog.New(slog.DiscardHandler), func(error) {})
				defer s.Shutdown()
				began := time.Now()
				_ = here.SetDeadline(began.Add(time.Hour))
				_, err := io.Copy(here, strings.NewReader(c.request))
				if c.reads {
					_, err = io.Copy(io.Discard, here)
				} else {
					for err == nil { // until it is closed
						_, err = here.Write([]byte("x"))
					}
				}
				if took := time.Since(began); err != nil && !errors.Is(err, io.ErrClosedPipe) || took > c.within+time.Second {
					t.Errorf("ended after %v: %v", took, err)
				}
			})
		})
	}
}

// oneConn is a listener with one connection.
type oneConn struct {
	conn   net.Conn
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	if conn := l.conn; conn != nil {
		l.conn = nil
		return conn, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error {
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return nil
}

func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{} }
