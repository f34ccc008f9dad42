// Package box is the program doit-socket: ingest, gateway and nats-server in one process on one
// port. It replaces the original server and is the default for a single machine. Two commands run
// it: the module's root, which `go install` makes doit-socket of, and embedded.
package box

import (
	"cmp"
	"context"
	"errors"
	"io"

	"github.com/ramainen/doit-socket/clients/browser"
	"github.com/ramainen/doit-socket/embedded/natsd"
	"github.com/ramainen/doit-socket/gateway/node"
	"github.com/ramainen/doit-socket/ingest/legacy"
	"github.com/ramainen/doit-socket/ingest/publish"
	"github.com/ramainen/doit-socket/internal/daemon"
	"github.com/ramainen/doit-socket/internal/listen"
	"github.com/ramainen/doit-socket/internal/origin"
)

const name = "doit-socket"

type config struct {
	daemon.Config `embed:""`
	EmitListen    string              `placeholder:"HOST:PORT" help:"Serve /emit and /stat/all on this address and not on --listen."`
	Gateway       node.Config         `embed:"" group:"Sockets:"`
	Publish       publish.Config      `embed:"" group:"Emits:"`
	Ingest        legacy.Config       `embed:"" group:"Emits:"`
	Cluster       natsd.ClusterConfig `embed:"" group:"Several boxes:"`
}

// Validate checks the addresses of the public listeners.
func (c config) Validate() error {
	if c.EmitListen == "" {
		return c.Allow("--listen", c.Listen, daemon.MayEmitAndRegister)
	}
	return cmp.Or(
		c.Allow("--listen", c.Listen, daemon.MayRegister),
		c.Allow("--emit-listen", c.EmitListen, daemon.MayEmit),
	)
}

// Main runs the program. It does not return.
func Main() { daemon.Main(name, Run) }

// Run starts the parts in this order, and returns when ctx is done or one of them fails:
//
//	PHP ──POST /emit──▶ ingest ──▶ nats-server ──▶ gateway ──Socket.IO──▶ browsers
//	                    └────────── this process ─────────┘
//
// When ctx is done it first drains the sockets. Then the deferred calls stop the parts in reverse
// order: no new connections, requests in flight are answered, NATS is drained.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var cfg config
	err := daemon.Parse(&cfg, name, "A PHP page raises an event, the right browsers hear it.",
		daemon.Defaults{Listen: "127.0.0.1:1337", AdminListen: "127.0.0.1:1336"}, args, stdout)
	if errors.Is(err, daemon.ErrDone) {
		return nil
	}
	if err != nil {
		return err
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	p := daemon.NewProcess(cfg.Config, stderr)
	defer p.StartRelief()()
	p.LimitSockets(cfg.Gateway.MaxSockets, cfg.Gateway.ExemptPeer)

	bus, err := natsd.Start(cfg.Node, publish.MaxPayload, cfg.Cluster, p.Log)
	if err != nil {
		return err
	}
	defer bus.Shutdown()
	if cfg.Cluster.ClusterListen != "" {
		p.Health.Fact("cluster", bus.Boxes)
		p.Metrics.MustRegister(bus.Metrics()...)
	}
	gatewayBus, err := p.Connect("", "gateway", fail, bus.Options()...)
	if err != nil {
		return err
	}
	defer daemon.Drain(gatewayBus)
	ingestBus, err := p.Connect("", "ingest", fail, bus.Options()...)
	if err != nil {
		return err
	}
	defer daemon.Drain(ingestBus)
	p.Health.Check("nats", p.Connected(gatewayBus))

	publisher := publish.New(cfg.Publish, ingestBus, p.Metrics)
	if err := publisher.Start(); err != nil {
		return err
	}
	defer publisher.Close()

	public, err := p.Listen(listen.Public, cfg.Listen)
	if err != nil {
		return err
	}
	defer public.Shutdown()
	gateway, err := node.New(cfg.Gateway, cfg.Node, gatewayBus, p.Budget, p.Log, p.Metrics)
	if err != nil {
		return err
	}
	if err := gateway.Start(); err != nil {
		return err
	}
	defer gateway.Close()
	defer public.StopAccepting()
	publisher.UseGateway(bus.Alone, gateway.Hub().Emit)

	router := p.NewRouter()
	gateway.Mount(router, browser.Script())
	daemon.MountPages(router, browser.Routes(cfg.EmitListen == ""))
	emits := legacy.New(cfg.Ingest, publisher, p.Log, p.Metrics)
	emits.Budget = p.Budget
	emits.Local, emits.Origins = !cfg.Open, origin.NewPolicy(cfg.Gateway.Origins)
	emitServer := public
	if cfg.EmitListen == "" {
		emits.Mount(router)
	} else {
		private, err := p.Listen(listen.Emits, cfg.EmitListen)
		if err != nil {
			return err
		}
		defer private.Shutdown()
		emitRouter := p.NewRouter()
		emits.Mount(emitRouter)
		private.Serve(emitRouter, p.Log, fail)
		emitServer = private
	}
	public.Serve(router, p.Log, fail)
	stopAdmin, err := p.ServeAdmin(fail)
	if err != nil {
		return err
	}
	defer stopAdmin()

	greet(stdout, public, emitServer)
	if err := p.Wait(ctx); err != nil {
		return err
	}
	gateway.Drain(context.Background())
	return nil
}
