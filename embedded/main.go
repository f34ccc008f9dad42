// doit-socket is ingest, gateway and nats-server in one process on one port. It replaces the
// original server and is the default for a single machine.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ramainen/doit-socket/clients/browser"
	"github.com/ramainen/doit-socket/embedded/natsd"
	"github.com/ramainen/doit-socket/gateway/node"
	"github.com/ramainen/doit-socket/ingest/legacy"
	"github.com/ramainen/doit-socket/ingest/publish"
	"github.com/ramainen/doit-socket/internal/daemon"
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

// Validate checks --emit-listen, which only this program has, as [daemon.Config.Validate] checks
// the other listeners.
func (c config) Validate() error {
	if c.EmitListen == "" {
		return nil
	}
	return c.Allow(c.EmitListen)
}

func main() { daemon.Main(name, run) }

//	PHP ──POST /emit──▶ ingest ──▶ nats-server ──▶ gateway ──Socket.IO──▶ browsers
//	                    └────────── this process ─────────┘
//
// run starts the parts in this order and returns when ctx is done or one of them fails. When ctx is
// done it first drains the sockets. Then the deferred calls stop the parts in reverse order: no new
// connections, requests in flight are answered, NATS is drained.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
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

	public, err := p.Listen(daemon.Public, cfg.Listen)
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
	emitURL := public.URL()
	if cfg.EmitListen == "" {
		emits.Mount(router)
	} else {
		private, err := p.Listen(daemon.Emits, cfg.EmitListen)
		if err != nil {
			return err
		}
		defer private.Shutdown()
		emitRouter := p.NewRouter()
		emits.Mount(emitRouter)
		private.Serve(emitRouter, p.Log, fail)
		emitURL = private.URL()
	}
	public.Serve(router, p.Log, fail)
	stopAdmin, err := p.ServeAdmin(fail)
	if err != nil {
		return err
	}
	defer stopAdmin()

	greet(stdout, public.URL(), emitURL)
	if err := p.Wait(ctx); err != nil {
		return err
	}
	gateway.Drain(context.Background())
	return nil
}

// greet prints the address and the code to paste into a page and into PHP.
func greet(w io.Writer, url, emitURL string) {
	fmt.Fprintf(w, `doit-socket listens on %[1]s

  in the page   <script src="%[1]s/socket.io/socket.io.js"></script>
                <script>
                  var socket = io('%[1]s');
                  socket.emit('register', {userid: '42'});
                  socket.on('hello', function (data) { alert(data.text); });
                </script>

  in PHP        echo file_get_contents('%[2]s/emit?id=42&message=hello&text=Hi');

  try it        %[1]s/
`, url, emitURL)
}
