package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
)

const (
	// maxHeader bounds request line and headers; a GET /emit carries its data there.
	maxHeader = 128 << 10
	// bodyTimeout bounds the time that the body of a request may take, also of
	// one whose handler does not read it: net/http does then, after the answer.
	bodyTimeout = 30 * time.Second
	// answerTimeout bounds the time until an answer is written; polls set their own.
	answerTimeout = time.Minute
	// lastRequests is how long requests in flight have when the server stops; an
	// emit is answered within a second.
	lastRequests = 1500 * time.Millisecond
)

// A Server is a listener that is bound, and what serves it.
type Server struct {
	listener net.Listener
	server   *http.Server
	serving  sync.WaitGroup
}

// Bind binds the address, so that an error is known before anything starts.
func Bind(address string) (*Server, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return &Server{listener: listener}, nil
}

// Addr is the address that was bound.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// URL is how a program on this machine reaches the server.
func (s *Server) URL() string { return urlOf(s.Addr()) }

func urlOf(address string) string {
	host, port, _ := net.SplitHostPort(address)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// Serve serves in a goroutine that Shutdown waits for, and tells fail if serving ends before.
// There is no ReadTimeout: it would cut long polls.
func (s *Server) Serve(h http.Handler, log *slog.Logger, fail func(error)) {
	s.server = &http.Server{
		Handler:           boundBody(h),
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

func boundBody(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
		}
		h.ServeHTTP(w, r)
	})
}

// StopAccepting takes no new connections; those that are there are served on.
func (s *Server) StopAccepting() { _ = s.listener.Close() }

// Shutdown waits for requests in flight, not for long.
func (s *Server) Shutdown() {
	s.StopAccepting()
	if s.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastRequests)
	defer cancel()
	if s.server.Shutdown(ctx) != nil {
		_ = s.server.Close()
	}
	s.serving.Wait()
}

// MountPages puts what can only be read on r, by path.
func MountPages(r gin.IRouter, pages map[string]http.Handler) {
	for path, page := range pages {
		r.Match([]string{http.MethodGet, http.MethodHead}, path, gin.WrapH(page))
	}
}
