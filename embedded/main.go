// doit-socket in one process: ingest, gateway and nats-server on one port.
// The drop-in successor, and the default for one box.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ramainen/doit-socket/clients/browser"
	"github.com/ramainen/doit-socket/embedded/natsd"
	"github.com/ramainen/doit-socket/gateway/hub"
	"github.com/ramainen/doit-socket/gateway/node"
	"github.com/ramainen/doit-socket/ingest/emit"
	"github.com/ramainen/doit-socket/internal/daemon"
)

const name = "doit-socket"

type config struct {
	daemon.Config `embed:""`
	EmitListen    string              `placeholder:"HOST:PORT" help:"Move /emit and /v1/ to a listener of their own."`
	Gateway       node.Config         `embed:"" group:"Sockets:"`
	Ingest        emit.Config         `embed:"" group:"Emits:"`
	Cluster       natsd.ClusterConfig `embed:"" group:"Several boxes:"`
}

// Validate refuses what [daemon.Config.Validate] refuses, for the listener that only this program has.
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
// The sockets are drained first. Then everything stops in the opposite order
// of its start: no new connections, requests in flight are answered, NATS is
// drained.
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

	bus, err := natsd.Start(cfg.Node, emit.MaxMaxBody, cfg.Cluster, p.Log)
	if err != nil {
		return err
	}
	defer bus.Shutdown()
	if cfg.Cluster.ClusterListen != "" {
		p.Health.Fact("cluster", func() string { return strings.Join(append([]string{cfg.Node}, bus.Peers()...), ", ") })
		p.Metrics.MustRegister(bus.PeersGauge())
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
	p.Health.Check("nats", daemon.Connected(gatewayBus))

	ingest, err := emit.New(cfg.Ingest, ingestBus, p.Log, p.Metrics)
	if err != nil {
		return err
	}
	defer ingest.Close()

	public, err := daemon.Bind(cfg.Listen)
	if err != nil {
		return err
	}
	defer public.Shutdown()
	gateway, err := node.New(cfg.Gateway, cfg.Node, gatewayBus, p.Log, p.Metrics)
	if err != nil {
		return err
	}
	defer gateway.Close()
	if err := gateway.Start(); err != nil {
		return err
	}
	defer public.StopAccepting()
	ingest.Local = box{gateway.Hub(), bus}

	router := p.NewRouter()
	gateway.Mount(router, browser.Script())
	daemon.MountPages(router, browser.Routes(cfg.EmitListen == ""))
	emitURL := public.URL()
	if cfg.EmitListen == "" {
		ingest.Mount(router)
	} else {
		private, err := daemon.Bind(cfg.EmitListen)
		if err != nil {
			return err
		}
		defer private.Shutdown()
		emitRouter := p.NewRouter()
		ingest.Mount(emitRouter)
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

// A box is this process as the ingest sees it.
type box struct {
	*hub.Hub
	*natsd.Server
}

// greet prints what to paste.
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
