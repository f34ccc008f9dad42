// Package natsd runs nats-server inside this process, without a port.
package natsd

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// startTime bounds the start of the server; it takes some milliseconds.
const startTime = 10 * time.Second

// A Server is a nats-server that only this process can reach.
type Server struct {
	server *server.Server
}

// Start starts a server that takes messages of up to maxPayload bytes.
func Start(name string, maxPayload int, log *slog.Logger) (*Server, error) {
	s, err := server.NewServer(&server.Options{
		ServerName: name,
		DontListen: true,
		NoSigs:     true,
		MaxPayload: int32(maxPayload), //nolint:gosec // at most 8 MiB and a bit
	})
	if err != nil {
		return nil, fmt.Errorf("configure nats-server: %w", err)
	}
	s.SetLoggerV2(logger{log}, false, false, false)
	s.Start()
	if !s.ReadyForConnections(startTime) {
		s.Shutdown()
		return nil, errors.New("nats-server did not start")
	}
	return &Server{server: s}, nil
}

// Option makes a NATS connection go to this server, without a socket.
func (s *Server) Option() nats.Option { return nats.InProcessServer(s.server) }

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
