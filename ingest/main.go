// doit-socket-ingest accepts emits from PHP over HTTP and publishes them to the gateways over NATS.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ramainen/doit-socket/ingest/legacy"
	"github.com/ramainen/doit-socket/ingest/publish"
	"github.com/ramainen/doit-socket/internal/daemon"
	"github.com/ramainen/doit-socket/internal/listen"
)

const name = "doit-socket-ingest"

type config struct {
	daemon.Config    `embed:""`
	daemon.BusConfig `embed:""`
	Publish          publish.Config `embed:"" group:"Emits:"`
	Ingest           legacy.Config  `embed:"" group:"Emits:"`
}

// Validate checks the address of the public listener.
func (c config) Validate() error { return c.Allow("--listen", c.Listen, daemon.MayEmit) }

func main() { daemon.Main(name, run) }

// run starts the ingest and returns when ctx is done or a part of it fails. The deferred calls stop the parts in
// reverse order of their start.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var cfg config
	err := daemon.Parse(&cfg, name, "Accepts emits from PHP over HTTP and publishes them to the doit-socket gateways over NATS.",
		daemon.Defaults{Listen: "127.0.0.1:1335", AdminListen: "127.0.0.1:1334"}, args, stdout)
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

	bus, err := p.ConnectBus(cfg.BusConfig, "ingest", fail)
	if err != nil {
		return err
	}
	defer daemon.Drain(bus)
	p.Health.Check("nats", p.Connected(bus))

	publisher := publish.New(cfg.Publish, bus, p.Metrics)
	if err := publisher.Start(); err != nil {
		return err
	}
	defer publisher.Close()
	public, err := p.Listen(listen.Public, cfg.Listen)
	if err != nil {
		return err
	}
	defer public.Shutdown()

	router := p.NewRouter()
	emits := legacy.New(cfg.Ingest, publisher, p.Log, p.Metrics)
	emits.Budget = p.Budget
	emits.Local = !cfg.Open
	emits.Mount(router)
	public.Serve(router, p.Log, fail)
	stopAdmin, err := p.ServeAdmin(fail)
	if err != nil {
		return err
	}
	defer stopAdmin()

	fmt.Fprintf(stdout, "%s listens on %s\n", name, public.Where())
	return p.Wait(ctx)
}
