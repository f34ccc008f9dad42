package daemon

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/ramainen/doit-socket/internal/budget"
	"github.com/ramainen/doit-socket/internal/router"
)

// A Process holds what every program has: configuration, log, metrics, health
// and the pages of the private listener.
type Process struct {
	Config  Config
	Log     *slog.Logger
	Metrics *prometheus.Registry
	Health  *Health
	Admin   *Admin
	Budget  *budget.Budget // of --max-memory

	states map[*nats.Conn]*natsState // of the connections; only main's goroutine uses the map
}

// NewProcess returns a process that logs to stderr.
func NewProcess(cfg Config, stderr io.Writer) *Process {
	p := &Process{
		Config:  cfg,
		Log:     NewLog(cfg.LogLevel, stderr),
		Metrics: prometheus.NewRegistry(),
		Health:  NewHealth(),
		Budget:  cfg.budget(),
		states:  make(map[*nats.Conn]*natsState),
	}
	p.Admin = newAdmin(p.Health, p.Metrics)
	p.Metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	p.Metrics.MustRegister(memoryMetrics(p.Budget)...)
	started := time.Now()
	p.Health.Fact("node", func() string { return cfg.Node })
	p.Health.Fact("version", Version)
	p.Health.Fact("up", func() string { return time.Since(started).Round(time.Second).String() })
	return p
}

// NewRouter returns a router with the public health routes.
func (p *Process) NewRouter() *router.Router {
	r := router.New()
	p.Health.Mount(r)
	return r
}

// ServeAdmin serves the private listener until stop is called. It calls fail if
// serving ends before.
func (p *Process) ServeAdmin(fail func(error)) (stop func(), err error) {
	admin, err := Bind(p.Config.AdminListen)
	if err != nil {
		return nil, err
	}
	admin.Serve(p.Admin, p.Log, fail)
	p.Log.Info("private listener", "url", admin.URL())
	return admin.Shutdown, nil
}

// Wait waits until ctx ends. It returns nil if ctx was canceled without a cause,
// as by a signal: the process is then not ready. Else it returns the cause.
func (p *Process) Wait(ctx context.Context) error {
	<-ctx.Done()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	p.Log.Info("stopping")
	p.Health.Stop()
	return nil
}
