// Package sio speaks Socket.IO with browsers: it is the one package that knows
// zishang520/socket.io/v2, and it joins our Engine.IO layer below that library
// with the hub.
//
//	browser ──▶ eio.Session ──▶ client.go ──CONNECT──▶ the library, through seam.go
//	                               │
//	                               └──register, unregister──▶ hub ──events──▶ space.go ──▶ eio.Session
//
// What belongs to a session on another node goes there through the relay.
//
// The library decides who may join which namespace. Events do not pass
// through it: it would run each in a goroutine of its own, out of order.
package sio

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/gateway/eio"
	"github.com/ramainen/doit-socket/gateway/hub"
	"github.com/ramainen/doit-socket/gateway/relay"
)

// Config holds what an operator may set of a gateway.
type Config struct {
	eio.Config     `embed:""`
	ConnectTimeout time.Duration `default:"10s" help:"How long a browser may stay connected without joining a namespace."`
	Drain          time.Duration `default:"10s" help:"Time over which the sockets are closed, evenly, when the process is told to stop."`
	Settle         time.Duration `default:"50ms" help:"How long a new user's subscription takes to be known on all nodes of a NATS cluster; register is answered after it."`
	MaxIDs         int           `name:"max-ids" default:"32" help:"How many ids one socket may hold, at least 1."`
	GapEvent       string        `default:"doit:gap" help:"Event that tells a page that it may have missed others and should ask for them again; empty, no page is told."`
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	if err := c.Config.Validate(); err != nil {
		return err
	}
	if least, most := 100*time.Millisecond, time.Hour; c.ConnectTimeout < least || c.ConnectTimeout > most {
		return fmt.Errorf("--connect-timeout is %v: it must be %v to %v", c.ConnectTimeout, least, most)
	}
	if most := time.Hour; c.Drain < 0 || c.Drain > most {
		return fmt.Errorf("--drain is %v: it must be 0s to %v", c.Drain, most)
	}
	if most := 10 * time.Second; c.Settle < 0 || c.Settle > most {
		return fmt.Errorf("--settle is %v: it must be 0s to %v", c.Settle, most)
	}
	if c.MaxIDs < 1 {
		return fmt.Errorf("--max-ids is %d: it must be at least 1", c.MaxIDs)
	}
	if err := hub.CheckGapEvent(c.GapEvent); err != nil {
		return fmt.Errorf("--gap-event is %q: %w", c.GapEvent, err)
	}
	return nil
}

// DefaultConfig returns the defaults of the flags.
func DefaultConfig() Config {
	return Config{
		Config:         eio.DefaultConfig(),
		ConnectTimeout: 10 * time.Second,
		Drain:          10 * time.Second,
		Settle:         50 * time.Millisecond,
		MaxIDs:         32,
		GapEvent:       "doit:gap",
	}
}

// A Gateway holds the sockets of this node. It is safe for concurrent use.
type Gateway struct {
	Config
	log     *slog.Logger
	engine  *eio.Server
	library *library
	hub     *hub.Hub
	relay   *relay.Node
	metrics *metrics

	sockets  atomic.Int64
	nameless atomic.Int64 // sockets that have never registered an id
}

// New returns a gateway that takes sockets from now on and answers to NATS as node.
func New(cfg Config, node string, nc *nats.Conn, log *slog.Logger, reg prometheus.Registerer) (*Gateway, error) {
	g := &Gateway{Config: cfg, log: log}
	g.metrics = newMetrics(reg, g)
	var err error
	g.hub, err = hub.New(nc, hub.Options{
		Node:     node,
		Settle:   cfg.Settle,
		MaxUsers: cfg.MaxIDs,
		GapEvent: cfg.GapEvent,
		Sockets:  func() int { return int(g.sockets.Load()) },
		Log:      log,
		Metrics:  hub.NewMetrics(reg),
	})
	if err != nil {
		return nil, fmt.Errorf("start the hub: %w", err)
	}
	if g.library, err = newLibrary(); err != nil {
		return nil, fmt.Errorf("start the library: %w", err)
	}
	g.relay = relay.New(nc, cfg.MaxSockets, log, reg)
	g.engine = &eio.Server{
		Config: cfg.Config,
		Node:   g.relay.Name,
		Pass:   g.relay.Pass,
		Log:    log,
		OnOpen: g.onOpen,
		OnMessage: func(s *eio.Session, data []byte, binary bool) {
			s.Data.(*client).onMessage(data, binary)
		},
		OnClose: func(s *eio.Session, reason eio.Reason) {
			g.metrics.closed.WithLabelValues(string(reason)).Inc()
			if c, ok := s.Data.(*client); ok {
				c.onClose()
			}
		},
		OnRefuse: func(why eio.Refusal) { g.metrics.refused.WithLabelValues(string(why)).Inc() },
	}
	if err := g.relay.Start(http.HandlerFunc(g.engine.ServePassed)); err != nil {
		return nil, fmt.Errorf("start the relay: %w", err)
	}
	return g, nil
}

// Mount puts the gateway's routes on r. script answers for the client script,
// which Socket.IO servers have under the same path.
func (g *Gateway) Mount(r gin.IRouter, script http.Handler) {
	r.Any("/socket.io", gin.WrapH(g.engine))
	r.Any("/socket.io/*path", func(c *gin.Context) {
		if path := c.Param("path"); strings.HasSuffix(path, ".js") {
			script.ServeHTTP(c.Writer, c.Request)
			return
		}
		g.engine.ServeHTTP(c.Writer, c.Request)
	})
}

// Hub is the registry of this gateway's sockets.
func (g *Gateway) Hub() *hub.Hub { return g.hub }

// Drain takes no new sockets and closes the present ones evenly over the time
// that is configured; emits reach those that are left. Close must follow.
func (g *Gateway) Drain(ctx context.Context) {
	g.log.Info("draining; a second signal ends the process at once", "sockets", g.sockets.Load(), "over", g.Config.Drain)
	var websockets sync.WaitGroup // of sessions on other nodes
	websockets.Go(func() { g.relay.Drain(ctx, g.Config.Drain) })
	g.engine.Drain(ctx, g.Config.Drain)
	websockets.Wait()
}

// Close closes all sockets, then gives up their subscriptions. The NATS
// connection stays open: it is the caller's to drain.
func (g *Gateway) Close() {
	g.engine.Close()
	g.relay.Close()
	g.hub.Close()
}
