// doit-socket-gateway holds the browsers' sockets. It subscribes to NATS and sends each user's events to the user's
// sockets.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ramainen/doit-socket/clients/browser"
	"github.com/ramainen/doit-socket/gateway/node"
	"github.com/ramainen/doit-socket/internal/daemon"
	"github.com/ramainen/doit-socket/internal/listen"
)

const name = "doit-socket-gateway"

type config struct {
	daemon.Config    `embed:""`
	daemon.BusConfig `embed:""`
	Gateway          node.Config `embed:"" group:"Sockets:"`
}

// Validate checks the address of the public listener.
func (c config) Validate() error { return c.Allow("--listen", c.Listen, daemon.MayRegister) }

func main() { daemon.Main(name, run) }

// run serves until ctx ends or a part of the gateway fails. When ctx ends it drains the sockets first. The deferred
// calls then stop everything in the reverse order of its start.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var cfg config
	err := daemon.Parse(&cfg, name, "Holds the browsers' sockets of doit-socket beside a NATS server or cluster.",
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

	bus, err := p.ConnectBus(cfg.BusConfig, "gateway", fail)
	if err != nil {
		return err
	}
	defer daemon.Drain(bus)
	p.Health.Check("nats", p.Connected(bus))

	public, err := p.Listen(listen.Public, cfg.Listen)
	if err != nil {
		return err
	}
	defer public.Shutdown()
	gateway, err := node.New(cfg.Gateway, cfg.Node, bus, p.Budget, p.Log, p.Metrics)
	if err != nil {
		return err
	}
	if err := gateway.Start(); err != nil {
		return err
	}
	defer gateway.Close()
	defer public.StopAccepting()

	router := p.NewRouter()
	gateway.Mount(router, browser.Script())
	daemon.MountPages(router, browser.Routes(cfg.Open))
	public.Serve(router, p.Log, fail)
	stopAdmin, err := p.ServeAdmin(fail)
	if err != nil {
		return err
	}
	defer stopAdmin()

	fmt.Fprintf(stdout, "%s listens on %s\n", name, public.Where())
	if err := p.Wait(ctx); err != nil {
		return err
	}
	gateway.Drain(context.Background())
	return nil
}
