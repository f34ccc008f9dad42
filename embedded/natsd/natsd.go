// Package natsd runs nats-server inside this process: without a port, or with
// one for other boxes of a cluster.
package natsd

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const (
	// startTime bounds the start of the server; it takes some milliseconds.
	startTime = 10 * time.Second
	// routeTimeout bounds the handshake with another box.
	routeTimeout = 2 * time.Second
)

// A Server is a nats-server that only this process can reach, and, where it
// is in a cluster, those of other boxes that know the secret. It is safe for
// concurrent use.
type Server struct {
	server *server.Server
	token  nats.Option
	log    *logger
	watch  *watch

	stop    chan struct{} // closed by the first Shutdown
	stopped sync.Once
	running sync.WaitGroup // of run
}

// Start starts a server that takes messages of up to maxPayload bytes. label
// is what people call this box: it has no spaces, and other boxes of the
// cluster may have the same one. The caller ends the server with Shutdown.
func Start(label string, maxPayload int, cluster ClusterConfig, log *slog.Logger) (*Server, error) {
	o := &server.Options{
		ServerName: unique(label),
		DontListen: true,
		NoSigs:     true,
		MaxPayload: int32(maxPayload), //nolint:gosec // at most 8 MiB and a bit
	}
	token := nats.Token("")
	if cluster.ClusterListen != "" {
		if err := cluster.join(o); err != nil {
			return nil, err
		}
		// With DontListen no port for routes is opened either (nats-server
		// 2.15): there is one for clients, whose token nobody knows.
		o.DontListen, o.Host, o.Port = false, "127.0.0.1", server.RANDOM_PORT
		o.Authorization = rand.Text() // of a password nats-server would warn at each start
		token = nats.Token(o.Authorization)
	}
	natsServer, err := server.NewServer(o)
	if err != nil {
		return nil, fmt.Errorf("configure nats-server: %w", err)
	}
	s := &Server{server: natsServer, token: token, log: newLogger(log), stop: make(chan struct{})}
	s.watch = newWatch(cluster.ClusterRoutes, s.Alone, s.log)
	natsServer.SetLoggerV2(s.log, false, false, false)
	natsServer.Start()
	if !natsServer.ReadyForConnections(startTime) {
		natsServer.Shutdown()
		return nil, errors.New("nats-server did not start")
	}
	s.running.Go(s.run)
	return s, nil
}

// run does what is due each second until Shutdown.
func (s *Server) run() {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-second.C:
			s.log.flush()
			s.watch.look()
		}
	}
}

// Options make a NATS connection go to this server, without a socket.
func (s *Server) Options() []nats.Option {
	return []nats.Option{nats.InProcessServer(s.server), s.token}
}

// Shutdown ends the server and waits for it. Calling it twice is fine.
func (s *Server) Shutdown() {
	s.stopped.Do(func() { close(s.stop) })
	s.running.Wait()
	s.server.Shutdown()
	s.server.WaitForShutdown()
}
