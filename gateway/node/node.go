// Package node composes a gateway from the hub, Socket.IO, Engine.IO and the
// relay. No other package imports all four.
//
//	browser ──HTTP──▶ eio ──sessions──▶ sio ──sockets──▶ hub ◀──user.<id>── NATS
//	                   └──a session of another node──▶ relay ◀──doit.node.<name>── NATS
//
// [New] connects the four.
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
	"github.com/ramainen/doit-socket/internal/budget"
	"github.com/ramainen/doit-socket/internal/origin"
	"github.com/ramainen/doit-socket/internal/visitor"
)

// Config holds an operator's settings of a gateway: those of its parts, and
// those that concern several parts.
type Config struct {
	eio.Config            `embed:""`
	visitor.Limits        `embed:""`
	visitor.AddressConfig `embed:""`
	SocketIO              sio.Config `embed:""`

	Origins  []origin.Pattern `placeholder:"https://HOST" help:"Origins whose pages may connect, such as https://shop.example, https://*.shop.example (its subdomains, not itself) or http://localhost:8080. List this server's own origin too if it serves pages. With none, or with *, every origin may connect."`
	Drain    time.Duration    `default:"10s" help:"Time over which 1,000 sockets or more are closed, evenly spread, when the process is told to stop. Fewer take their share of it."`
	Settle   time.Duration    `default:"50ms" help:"Time for a new user's subscription to reach all nodes of a NATS cluster. The answer to register waits for it."`
	GapEvent string           `default:"doit:gap" help:"Event that tells a page that it may have missed events and should load its state again. If empty, no page is told."`
}

// DefaultConfig returns the defaults of the flags.
func DefaultConfig() Config {
	return Config{
		Config: eio.DefaultConfig(), Limits: visitor.DefaultLimits(), SocketIO: sio.DefaultConfig(),
		Drain: 10 * time.Second, Settle: 50 * time.Millisecond, GapEvent: "doit:gap",
	}
}

// Validate returns an error for the first setting that is invalid.
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

// linger is how long, in a NATS cluster, a user's subscription stays for a page that reloads.
const linger = 2 * time.Second

// A Node holds the sockets of one gateway process. It is safe for concurrent use.
type Node struct {
	cfg    Config
	log    *slog.Logger
	hub    *hub.Hub
	sio    *sio.Server
	engine *eio.Server
	relay  *relay.Node

	started bool // by Start, which one goroutine calls before all else
}

// New returns a gateway whose label in receipts is name. What it holds for
// browsers counts in b, nil for no limit, and is cut by [budget.Budget.Relieve],
// which the caller calls. It starts nothing: Start does, and Close ends it.
func New(cfg Config, name string, nc *nats.Conn, b *budget.Budget, log *slog.Logger, reg prometheus.Registerer) (*Node, error) {
	n := &Node{cfg: cfg, log: log}
	var err error
	n.hub, err = hub.New(nc, hub.Options{
		Node:     name,
		Settle:   cfg.Settle,
		Linger:   linger,
		MaxUsers: cfg.SocketIO.MaxIDs,
		GapEvent: cfg.GapEvent,
		Budget:   b,
		Sockets:  func() int { return n.sio.Sockets() },
		Log:      log,
		Metrics:  hub.NewMetrics(reg),
	})
	if err != nil {
		return nil, fmt.Errorf("configure the hub: %w", err)
	}
	if n.sio, err = sio.New(cfg.SocketIO, n.hub, log, reg); err != nil {
		return nil, err
	}
	n.sio.Memory = b
	n.relay = relay.New(nc, cfg.MaxSockets, log, reg)
	n.relay.Budget = b

	n.engine = eio.New(cfg.Config, log)
	n.engine.Budget = b
	b.AddHolders(n.engine.Holders)
	n.engine.Events = n.sio.Events()
	n.engine.OnRefuse = newMetrics(reg, n).refused
	n.engine.AllowsOrigin = n.allows(origin.NewPolicy(cfg.Origins))
	n.engine.Admit, n.engine.Release = eio.AdmitBy(
		&visitor.Addresses{AddressConfig: cfg.AddressConfig, Log: log}, visitor.NewAdmission(cfg.Limits))
	n.engine.Node, n.engine.Pass = n.relay.Name, n.relay.Pass
	return n, nil
}

// allows returns a function that reports whether a policy allows the origin of a
// request. It logs an origin that is refused: the page does not learn why it
// cannot connect. The log has one line a minute of this message.
func (n *Node) allows(policy *origin.Policy) func(*http.Request) bool {
	return func(r *http.Request) bool {
		allowed := policy.Allows(r)
		if !allowed {
			n.log.Warn("a page was refused, because its origin is not in --origins: add it there if the page is yours", "origin", origin.Sent(r))
		}
		return allowed
	}
}

// Start subscribes to NATS. If it fails, nothing runs.
func (n *Node) Start() error {
	if err := n.hub.Start(); err != nil {
		return fmt.Errorf("start the hub: %w", err)
	}
	if err := n.relay.Start(http.HandlerFunc(n.engine.ServePassed)); err != nil {
		n.hub.Close()
		return fmt.Errorf("start the relay: %w", err)
	}
	n.started = true
	return nil
}

// Mount adds the gateway's routes to r. script serves the client script and
// answers for what is not served of it: Socket.IO servers have these files under
// the same path.
func (n *Node) Mount(r gin.IRouter, script http.Handler) {
	r.Any("/socket.io", gin.WrapH(n.engine))
	r.Any("/socket.io/*path", func(c *gin.Context) {
		if path := c.Param("path"); strings.HasSuffix(path, ".js") || strings.HasSuffix(path, ".map") {
			// For pages that are isolated by Cross-Origin-Embedder-Policy. The answers of
			// the engine need it not: pages ask for them by CORS.
			c.Header("Cross-Origin-Resource-Policy", "cross-origin")
			script.ServeHTTP(c.Writer, c.Request)
			return
		}
		n.engine.ServeHTTP(c.Writer, c.Request)
	})
}

// Hub returns the registry of this gateway's sockets.
func (n *Node) Hub() *hub.Hub { return n.hub }

// fullDrain is the number of sockets from which on a drain takes all of its time.
const fullDrain = 1000

// drainTime returns how long the draining of so many sockets takes. Browsers that
// are closed connect to other nodes, and load their state from PHP, as fast as they
// are closed. So few sockets are closed at the pace at which fullDrain would be, and
// more in the same time.
func drainTime(most time.Duration, sockets int) time.Duration {
	return most * time.Duration(min(sockets, fullDrain)) / fullDrain
}

// Drain accepts no new sockets and closes the present ones, evenly spread over
// the drainTime of the configured time. Emits still reach those that are open.
// Drain returns early when ctx ends. Close must follow.
func (n *Node) Drain(ctx context.Context) {
	over := drainTime(n.cfg.Drain, n.engine.Sessions()+n.relay.Pipes())
	n.log.Info("draining; a second signal ends the process at once", "sockets", n.sio.Sockets(), "over", over)
	var websockets sync.WaitGroup // of sessions on other nodes
	websockets.Go(func() { n.relay.Drain(ctx, over) })
	n.engine.Drain(ctx, over)
	websockets.Wait()
}

// Close closes all sockets, then removes their subscriptions. It does not close
// the NATS connection: the caller drains it. Before Start, and after a Start
// that failed, there is nothing to close.
func (n *Node) Close() {
	n.engine.Close()
	if n.started {
		n.relay.Close()
		n.hub.Close()
	}
}
