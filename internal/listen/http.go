package listen

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// maxHeader bounds the request line and headers, in bytes. A GET /emit has
	// its data there.
	maxHeader = 128 << 10
	// bodyTimeout bounds the reading of a request's body. If the handler does not
	// read it, net/http does after the answer, and the bound holds as well.
	bodyTimeout = 30 * time.Second
	// answerTimeout bounds the time until an answer is written. Polls set their
	// own.
	answerTimeout = time.Minute
	// shutdownTimeout is how long Shutdown waits for requests in flight. An emit
	// is answered within a second.
	shutdownTimeout = 1500 * time.Millisecond
)

// A Server is a bound listener and the HTTP server on it. Serve is called once at
// most. StopAccepting and Shutdown may be called more than once, and each method
// but Serve at the same time as others.
type Server struct {
	listener net.Listener
	server   *http.Server
	serving  sync.WaitGroup
}

// Bind is [Listeners.Listen] without limits: connections are not counted. It is for
// tests.
func Bind(address string) (*Server, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return &Server{listener: listener}, nil
}

// Addr returns the address of the listener, with the actual port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// URL returns the URL by which a program on this machine reaches the server.
func (s *Server) URL() string { return URL(s.Addr()) }

// URL returns the URL by which a program on this machine reaches a listener on
// address, HOST:PORT.
func URL(address string) string {
	host, port, _ := net.SplitHostPort(address)
	if IsUnspecified(host) {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// IsUnspecified reports whether a host stands for every address of the machine.
func IsUnspecified(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

// URLFor is [Server.URL] with another host if the server listens on every
// address of the machine. every reports whether it does.
func (s *Server) URLFor(anyHost string) (url string, every bool) {
	host, port, _ := net.SplitHostPort(s.Addr())
	if !IsUnspecified(host) {
		return s.URL(), false
	}
	return "http://" + net.JoinHostPort(anyHost, port), true
}

// Where returns the URL of the address that the server listens on, for logs.
// 0.0.0.0 stands for every address of the machine, those of IPv6 included.
func (s *Server) Where() string {
	url, _ := s.URLFor("0.0.0.0")
	return url
}

// Serve serves h in a goroutine, for which Shutdown waits. It calls fail if
// serving ends before StopAccepting or Shutdown. The server has no ReadTimeout:
// that would end long polls.
func (s *Server) Serve(h http.Handler, log *slog.Logger, fail func(error)) {
	s.server = &http.Server{
		Handler:           boundBody(h),
		ConnState:         follow,
		ConnContext:       remember,
		ReadHeaderTimeout: 10 * time.Second,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	s.serving.Go(func() {
		if err := s.server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			fail(fmt.Errorf("serve %s: %w", s.Addr(), err))
		}
	})
}

// boundBody applies bodyTimeout to requests that have a body. It drops requests
// whose connection was closed before they were complete.
func boundBody(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if abandoned(r) {
			panic(http.ErrAbortHandler) // net/http ends the connection and logs nothing
		}
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
		}
		h.ServeHTTP(w, r)
	})
}

// StopAccepting accepts no new connections. Requests on the present ones are
// still served.
func (s *Server) StopAccepting() { _ = s.listener.Close() }

// Shutdown stops accepting connections, waits 1.5 seconds at most for requests in
// flight, and closes all connections.
func (s *Server) Shutdown() {
	s.StopAccepting()
	if s.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if s.server.Shutdown(ctx) != nil {
		_ = s.server.Close()
	}
	s.serving.Wait()
}
