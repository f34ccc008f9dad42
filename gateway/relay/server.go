package relay

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// headTime bounds the time to read the head of a request that was passed on.
	headTime = 10 * time.Second
	maxHead  = 16 << 10 // bytes of that head

	// backlog is how many streams may wait in the listener for Accept.
	backlog = 1024

	// closeTime is how long Node.Close waits for handlers to return after their streams were
	// broken.
	closeTime = 5 * time.Second
)

// newServer returns the HTTP server for the requests that other nodes pass on.
func newServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headTime,
		MaxHeaderBytes:    maxHead,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// shutdown shuts the server down and waits for its handlers, at most for closeTime.
func shutdown(server *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	_ = server.Shutdown(ctx)
}

// A listener is a [net.Listener] whose connections are the streams that other nodes open.
type listener struct {
	name    string // of this node
	streams chan net.Conn
	closing sync.Once
	closed  chan struct{}
}

func newListener(name string) *listener {
	return &listener{name: name, streams: make(chan net.Conn, backlog), closed: make(chan struct{})}
}

// offer adds a stream for Accept. It returns false if the backlog is full. It never waits.
func (l *listener) offer(s *stream) bool {
	select {
	case l.streams <- s:
		return true
	default:
		return false
	}
}

// Accept waits for the next stream. It returns [net.ErrClosed] after Close.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case s := <-l.streams:
		return s, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close makes Accept return [net.ErrClosed]. It may be called more than once. The error is always
// nil.
func (l *listener) Close() error {
	l.closing.Do(func() { close(l.closed) })
	return nil
}

// Addr returns the name of this node.
func (l *listener) Addr() net.Addr { return address(l.name) }
