// Package natsd runs nats-server inside this process: without a port, or with
// one for other boxes of a cluster.
package natsd

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
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
// is in a cluster, those of other boxes that know the secret.
type Server struct {
	server *server.Server
	token  nats.Option
}

// Start starts a server that takes messages of up to maxPayload bytes. In a
// cluster every box has a name of its own.
func Start(name string, maxPayload int, cluster ClusterConfig, log *slog.Logger) (*Server, error) {
	o := &server.Options{
		ServerName: name,
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
	s, err := server.NewServer(o)
	if err != nil {
		return nil, fmt.Errorf("configure nats-server: %w", err)
	}
	s.SetLoggerV2(logger{log}, false, false, false)
	s.Start()
	if !s.ReadyForConnections(startTime) {
		s.Shutdown()
		return nil, errors.New("nats-server did not start")
	}
	return &Server{server: s, token: token}, nil
}

// Options make a NATS connection go to this server, without a socket.
func (s *Server) Options() []nats.Option {
	return []nats.Option{nats.InProcessServer(s.server), s.token}
}

// Shutdown ends the server and waits for it.
func (s *Server) Shutdown() {
	s.server.Shutdown()
	s.server.WaitForShutdown()
}

// logger passes on what an operator can act on.
type logger struct{ log *slog.Logger }

func (l logger) Noticef(format string, v ...any) {
	l.log.Debug("nats-server", "text", fmt.Sprintf(format, v...))
}
func (l logger) Warnf(format string, v ...any) {
	l.log.Warn("nats-server", "text", fmt.Sprintf(format, v...))
}
func (l logger) Errorf(format string, v ...any) {
	l.log.Error("nats-server", "text", fmt.Sprintf(format, v...))
}
func (l logger) Fatalf(format string, v ...any) {
	l.log.Error("nats-server", "text", fmt.Sprintf(format, v...))
}
func (l logger) Debugf(string, ...any) {}
func (l logger) Tracef(string, ...any) {}
