package sio

import (
	"context"
	"errors"
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
	memory "github.com/ramainen/doit-socket/internal/budget"
)

// A config is what a test may change before its gateway starts.
type config struct {
	eio.Config
	SocketIO Config
	GapEvent string
	Drain    time.Duration
}

func defaultConfig() config {
	return config{Config: eio.DefaultConfig(), SocketIO: DefaultConfig(), GapEvent: "doit:gap", Drain: 10 * time.Second}
}

// A gateway is what gateway/node composes, without limits and origins: its
// tests import this package, so these cannot import it.
type gateway struct {
	*Server
	engine *eio.Server
	relay  *relay.Node
	drain  time.Duration
}

func newGateway(cfg config, name string, nc *nats.Conn, log *slog.Logger, reg prometheus.Registerer) (*gateway, error) {
	g := &gateway{drain: cfg.Drain}
	h, err := hub.New(nc, hub.Options{
		Node: name, Settle: 50 * time.Millisecond, MaxUsers: cfg.SocketIO.MaxIDs, GapEvent: cfg.GapEvent,
		Sockets: func() int { return g.Sockets() }, Log: log, Metrics: hub.NewMetrics(reg),
	})
	if err != nil {
		return nil, err
	}
	if g.Server, err = New(cfg.SocketIO, h, log, reg); err != nil {
		return nil, err
	}
	g.Memory = memory.New(1 << 30)
	g.relay = relay.New(nc, 0, log, reg)
	g.engine = eio.New(cfg.Config, log)
	g.engine.Events = g.Events()
	g.engine.Node, g.engine.Pass = g.relay.Name, g.relay.Pass
	return g, errors.Join(h.Start(), g.relay.Start(http.HandlerFunc(g.engine.ServePassed)))
}

func (g *gateway) Mount(r gin.IRouter) {
	r.Any("/socket.io/*path", func(c *gin.Context) {
		if strings.HasSuffix(c.Param("path"), ".js") {
			http.NotFound(c.Writer, c.Request)
			return
		}
		g.engine.ServeHTTP(c.Writer, c.Request)
	})
}

func (g *gateway) Close() {
	g.engine.Close()
	g.relay.Close()
	g.hub.Close()
}

func (g *gateway) Drain(ctx context.Context) {
	var websockets sync.WaitGroup // of sessions on other nodes
	websockets.Go(func() { g.relay.Drain(ctx, g.drain) })
	g.engine.Drain(ctx, g.drain)
	websockets.Wait()
}
