// Package sio is the Socket.IO layer, between the sessions of package eio and
// the hub. No other package uses the library zishang520/socket.io/v2.
//
//	browser ──▶ eio.Session ──▶ client.go ──CONNECT──▶ adapter.go ──▶ the library
//	                               │
//	                               └──register, unregister──▶ register.go ──▶ hub
//	hub ──events──▶ socket.go ──▶ eio.Session ──▶ browser
//
// The library decides which browser may join which namespace. Events do not
// pass through it: it would handle each in a goroutine of its own, out of order.
package sio

import (
	"cmp"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/gateway/eio"
	"github.com/ramainen/doit-socket/gateway/hub"
	memory "github.com/ramainen/doit-socket/internal/budget"
)

// Config holds an operator's settings of Socket.IO. Zero values are not
// defaults: the tags hold the defaults, and [DefaultConfig] returns them to
// tests.
type Config struct {
	ConnectTimeout time.Duration `default:"10s" help:"How long a browser may stay connected without joining a namespace."`
	MaxIDs         int           `name:"max-ids" default:"32" help:"How many ids one socket may hold, at least 1. All sockets of a browser may register as many a second, in bursts of up to ten seconds' worth."`

	MaxNewIDsPerAddress int `name:"max-new-ids-per-address" default:"500" help:"Most ids a second that the sockets of one address (IPv6: of one /64) may register while no other socket on this node has them, in bursts of up to ten seconds' worth. Further registrations wait for up to 5 seconds, or are refused. Sockets from loopback count as one address. 0 means no limit."`
	MaxNewIDs           int `name:"max-new-ids" default:"10000" help:"The same for all sockets of this node together. 0 means no limit."`
}

// DefaultConfig returns the defaults of the flags.
func DefaultConfig() Config {
	return Config{ConnectTimeout: 10 * time.Second, MaxIDs: 32, MaxNewIDsPerAddress: 500, MaxNewIDs: 10_000}
}

// Validate returns an error for the first setting that is out of range.
func (c Config) Validate() error {
	if least, most := 100*time.Millisecond, time.Hour; c.ConnectTimeout < least || c.ConnectTimeout > most {
		return fmt.Errorf("--connect-timeout is %v: it must be %v to %v", c.ConnectTimeout, least, most)
	}
	if c.MaxIDs < 1 {
		return fmt.Errorf("--max-ids is %d: it must be at least 1", c.MaxIDs)
	}
	return cmp.Or(
		checkRate("--max-new-ids-per-address", c.MaxNewIDsPerAddress),
		checkRate("--max-new-ids", c.MaxNewIDs),
	)
}

// checkRate returns an error if a flag's value cannot be a number a second.
func checkRate(flag string, value int) error {
	if most := 1_000_000; value < 0 || value > most {
		return fmt.Errorf("%s is %d: it must be 0 to %d", flag, value, most)
	}
	return nil
}

// A Server is the Socket.IO layer of a gateway. It turns sessions into sockets.
// It is safe for concurrent use.
type Server struct {
	Config
	// Memory counts the registrations that wait; nil has no limit. It must be set before the first session.
	Memory *memory.Budget

	log     *slog.Logger
	hub     *hub.Hub
	library *library
	metrics *metrics
	budget  *budget

	sockets  atomic.Int64
	nameless atomic.Int64 // sockets that have never registered an id
	pending  atomic.Int64 // bytes of the registrations that are not yet answered
}

// New returns a server whose sockets register with h. It starts nothing.
func New(cfg Config, h *hub.Hub, log *slog.Logger, reg prometheus.Registerer) (*Server, error) {
	library, err := newLibrary()
	if err != nil {
		return nil, fmt.Errorf("make the Socket.IO library: %w", err)
	}
	srv := &Server{Config: cfg, log: log, hub: h, library: library, budget: newBudget(cfg)}
	srv.metrics = newMetrics(reg, srv)
	return srv, nil
}

// Sockets returns how many sockets are connected, registered or not.
func (srv *Server) Sockets() int { return int(srv.sockets.Load()) }

// Events returns the callbacks for the eio.Server whose sessions are served.
func (srv *Server) Events() eio.Events {
	return eio.Events{
		OnOpen: srv.onOpen,
		OnMessage: func(s *eio.Session, data []byte, binary bool) {
			s.Data.(*client).onMessage(data, binary)
		},
		OnClose: func(s *eio.Session, reason eio.Reason) {
			srv.metrics.closed.WithLabelValues(string(reason)).Inc()
			if c, ok := s.Data.(*client); ok {
				c.onClose()
			}
		},
	}
}
