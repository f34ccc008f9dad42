package daemon

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/ramainen/doit-socket/internal/budget"
	"github.com/ramainen/doit-socket/internal/listen"
	"github.com/ramainen/doit-socket/internal/logging"
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

	// Only main's goroutine uses the following.
	states    map[*nats.Conn]*natsState // of the connections to NATS
	listeners *listen.Listeners
}

// NewProcess returns a process that logs to stderr.
func NewProcess(cfg Config, stderr io.Writer) *Process {
	p := &Process{
		Config:  cfg,
		Log:     logging.New(cfg.LogLevel, stderr),
		Metrics: prometheus.NewRegistry(),
		Health:  NewHealth(),
		Budget:  cfg.budget(),
		states:  make(map[*nats.Conn]*natsState),
	}
	p.Admin = newAdmin(p.Health, p.Metrics, cfg.adminHosts())
	p.listeners = listen.New(cfg.Connections, p.Log, p.Metrics)
	p.Metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		logging.LostLines(stderr))
	p.Metrics.MustRegister(memoryMetrics(p.Budget)...)
	if len(cfg.unknown) > 0 {
		p.Log.Warn("the environment has variables that no program of doit-socket reads. Check their names: --help has those that it reads. "+
			"If Kubernetes has made them for a Service of that name, nothing is wrong; enableServiceLinks: false in the pod removes them",
			"variables", strings.Join(cfg.unknown, " "))
	}
	started := time.Now()
	p.Health.Fact("node", func() string { return cfg.Node })
	p.Health.Fact("version", Version)
	p.Health.Fact("up", func() string { return time.Since(started).Round(time.Second).String() })
	return p
}

// NewRouter returns a router with the public health routes, which serves also below --path-prefix.
func (p *Process) NewRouter() *router.Router {
	r := router.New()
	r.Prefix = p.Config.PathPrefix
	p.Health.Mount(r)
	return r
}

// LimitSockets tells how many sockets the program admits, and which peers are
// exempt from the limit per address; see [listen.Listeners.LimitSockets]. It must
// be called before Listen.
func (p *Process) LimitSockets(most int, exempt func(netip.Addr) bool) {
	p.listeners.LimitSockets(most, exempt)
}

// Listen listens on the address of a public listener: name is [listen.Public] or
// [listen.Emits]. See [listen.Listeners.Listen]. Shutdown must follow.
func (p *Process) Listen(name, address string) (*listen.Server, error) {
	return p.listeners.Listen(name, address)
}

// ServeAdmin serves the private listener until stop is called. It calls fail if
// serving ends before. If --admin-listen is empty, it serves nothing. It is called
// once.
func (p *Process) ServeAdmin(fail func(error)) (stop func(), err error) {
	if p.Config.AdminListen == "" {
		p.Log.Info("no private listener, because --admin-listen is empty")
		return func() {}, nil
	}
	admin, err := p.listeners.Listen(listen.Private, p.Config.AdminListen)
	if err != nil {
		return nil, err
	}
	admin.Serve(p.Admin, p.Log, fail)
	p.Log.Info("private listener", "url", admin.Where())
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
