// Package natsd runs nats-server inside this process. It listens on no port. In a cluster it
// listens on one port for the other boxes, and on a loopback port for clients, whose token only
// this process has. A box is one process of the program embedded.
package natsd

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const (
	// startTime bounds the start of the server, which usually takes some milliseconds.
	startTime = 10 * time.Second
	// routeTimeout bounds the TLS handshake with another box.
	routeTimeout = 2 * time.Second
)

// A Server is a nats-server in this process. Only this process can connect to it as a client. In a
// cluster, nats-servers of other boxes that know the secret connect to it as routes. It is safe for
// concurrent use.
type Server struct {
	server *server.Server
	token  nats.Option // authenticates the clients of this process
	log    *logger
	watch  *watch

	stop    chan struct{} // closed by the first Shutdown
	stopped sync.Once
	running sync.WaitGroup // the goroutine of run
}

// Start starts a server that accepts messages of up to maxPayload bytes. label is the name of this
// box in logs and on the status page. It must not contain spaces, and need not be unique in the
// cluster. The caller ends the server with Shutdown.
func Start(label string, maxPayload int, cluster ClusterConfig, log *slog.Logger) (*Server, error) {
	o := &server.Options{
		ServerName: uniqueName(label),
		DontListen: true,
		NoSigs:     true,
		MaxPayload: int32(maxPayload), //nolint:gosec // at most 8 MiB and a bit
	}
	token := nats.Token("")
	if cluster.ClusterListen != "" {
		if err := cluster.join(o); err != nil {
			return nil, err
		}
		// nats-server 2.15 opens no port for routes if DontListen is set. So it
		// listens for clients, too: on loopback, with a random token.
		o.DontListen, o.Host, o.Port = false, "127.0.0.1", server.RANDOM_PORT
		o.Authorization = rand.Text() // not a password: nats-server would log a warning at each start
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
		return nil, fmt.Errorf("nats-server did not start within %v", startTime)
	}
	s.running.Go(s.run)
	return s, nil
}

// run does the periodic work, once a second, until Shutdown.
func (s *Server) run() {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-second.C:
			s.log.flush()
			s.watch.check()
		}
	}
}

// Options returns the options of a NATS connection to this server that uses no network.
func (s *Server) Options() []nats.Option {
	return []nats.Option{nats.InProcessServer(s.server), s.token}
}

// Shutdown stops the server and waits until it has stopped. It may be called more than once.
func (s *Server) Shutdown() {
	s.stopped.Do(func() { close(s.stop) })
	s.running.Wait()
	s.server.Shutdown()
	s.server.WaitForShutdown()
}
