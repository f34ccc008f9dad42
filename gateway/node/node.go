// Package node composes a gateway: the hub, Socket.IO, Engine.IO and the relay.
// It is the one place that knows all four; none of them knows it.
//
//	browser ──HTTP──▶ eio ──sessions──▶ sio ──sockets──▶ hub ◀──user.<id>── NATS
//	                   └──a session of another node──▶ relay ◀──doit.node.<name>── NATS
//
// What the four are told of each other stands in [New].
package node

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/gateway/eio"
	"github.com/ramainen/doit-socket/gateway/hub"
	"github.com/ramainen/doit-socket/gateway/relay"
	"github.com/ramainen/doit-socket/gateway/sio"
	"github.com/ramainen/doit-socket/internal/origin"
	"github.com/ramainen/doit-socket/internal/visitor"
)

// Config holds what an operator may set of a gateway: the parts' own, and what
// concerns them together.
type Config struct {
	eio.Config            `embed:""`
	visitor.Limits        `embed:""`
	visitor.AddressConfig `embed:""`
	SocketIO              sio.Config `embed:""`

	Origins  []origin.Pattern `placeholder:"https://HOST" help:"Where pages may connect from, as in https://shop.example, https://*.shop.example (what is below it) or http://localhost:8080; the address of this server, if pages come from it too. None, or *, is anywhere."`
	Drain    time.Duration    `default:"10s" help:"Time over which the sockets are closed, evenly, when the process is told to stop."`
	Settle   time.Duration    `default:"50ms" help:"How long a new user's subscription takes to be known on all nodes of a NATS cluster; register is answered after it."`
	GapEvent string           `default:"doit:gap" help:"Event that tells a page that it may have missed others and should ask for them again; empty, no page is told."`
}

// DefaultConfig returns the defaults of the flags.
func DefaultConfig() Config {
	return Config{
		Config: eio.DefaultConfig(), Limits: visitor.DefaultLimits(), SocketIO: sio.DefaultConfig(),
		Drain: 10 * time.Second, Settle: 50 * time.Millisecond, GapEvent: "doit:gap",
	}
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	for _, part := range []interface{ Validate() error }{c.Config, c.Limits, c.SocketIO} {
		if err := part.Validate(); err != nil {
			return err
		}
	}
	if most := time.Hour; c.Drain < 0 || c.Drain > most {
		return fmt.Errorf("--drain is %v: it must be 0s to %v", c.Drain, most)
	}
	if most := 10 * time.Second; c.Settle < 0 || c.Settle > most {
		return fmt.Errorf("--settle is %v: it must be 0s to %v", c.Settle, most)
	}
	if err := hub.CheckGapEvent(c.GapEvent); err != nil {
		return fmt.Errorf("--gap-event is %q: %w", c.GapEvent, err)
	}
	return nil
}

// A Node holds the sockets of one gateway process. It is safe for concurrent use.
type Node struct {
	cfg    Config
	log    *slog.Logger
	hub    *hub.Hub
	sio    *sio.Server
	engine *eio.Server
	relay  *relay.Node
}

// New returns a gateway that answers to NATS as name. It starts nothing: Start
// must follow.
func New(cfg Config, name string, nc *nats.Conn, log *slog.Logger, reg prometheus.Registerer) (*Node, error) {
	n := &Node{cfg: cfg, log: log}
	var err error
	n.hub, err = hub.New(nc, hub.Options{
		Node:     name,
		Settle:   cfg.Settle,
		MaxUsers: cfg.SocketIO.MaxIDs,
		GapEvent: cfg.GapEvent,
		Sockets:  func() int { return n.sio.Sockets() },
		Log:      log,
		Metrics:  hub.NewMetrics(reg),
	})
	if err != nil {
		return nil, fmt.Errorf("start the hub: %w", err)
	}
	if n.sio, err = sio.New(cfg.SocketIO, n.hub, log, reg); err != nil {
		return nil, err
	}
	n.relay = relay.New(nc, cfg.MaxSockets, log, reg)

	n.engine = eio.New(cfg.Config, log)
	n.engine.Events = n.sio.Events()
	n.engine.OnRefuse = newMetrics(reg, n).refused
	n.engine.AllowsOrigin = origin.NewPolicy(cfg.Origins).Allows
	n.engine.Admit, n.engine.Release = eio.AdmitBy(
		&visitor.Addresses{AddressConfig: cfg.AddressConfig, Log: log}, visitor.NewAdmission(cfg.Limits))
	n.engine.Node, n.engine.Pass = n.relay.Name, n.relay.Pass
	return n, nil
}

// Start begins to hear NATS. Close must follow, also after an error.
func (n *Node) Start() error {
	if err := n.relay.Serve(http.HandlerFunc(n.engine.ServePassed)); err != nil {
		return fmt.Errorf("start the relay: %w", err)
	}
	return nil
}

// Mount puts the gateway's routes on r. script answers for the client script,
// which Socket.IO servers have under the same path.
func (n *Node) Mount(r gin.IRouter, script http.Handler) {
	r.Any("/socket.io", gin.WrapH(n.engine))
	r.Any("/socket.io/*path", func(c *gin.Context) {
		if path := c.Param("path"); strings.HasSuffix(path, ".js") {
			script.ServeHTTP(c.Writer, c.Request)
			return
		}
		n.engine.ServeHTTP(c.Writer, c.Request)
	})
}

// Hub is the registry of this gateway's sockets.
func (n *Node) Hub() *hub.Hub { return n.hub }

// Drain takes no new sockets and closes the present ones evenly over the time
// that is configured; emits reach those that are left. Close must follow.
func (n *Node) Drain(ctx context.Context) {
	n.log.Info("draining; a second signal ends the process at once", "sockets", n.sio.Sockets(), "over", n.cfg.Drain)
	var websockets sync.WaitGroup // of sessions on other nodes
	websockets.Go(func() { n.relay.Drain(ctx, n.cfg.Drain) })
	n.engine.Drain(ctx, n.cfg.Drain)
	websockets.Wait()
}

// Close closes all sockets, then gives up their subscriptions. The NATS
// connection stays open: it is the caller's to drain.
func (n *Node) Close() {
	n.engine.Close()
	n.relay.Close()
	n.hub.Close()
}
