package eio

import (
	"cmp"
	"fmt"
	"time"
)

// Config holds what an operator may set. Zero values are not defaults: the
// tags carry those, and [DefaultConfig] gives them to tests. Why the limits
// are what they are is in docs/decisions/0006.
type Config struct {
	PingInterval time.Duration `default:"25s" help:"Time between heartbeats of a socket."`
	PingTimeout  time.Duration `default:"20s" help:"How long a socket may take to answer a heartbeat before it is closed. Clients before 3.0, which send the heartbeats themselves, may be late by three times that."`
	MaxPayload   int64         `default:"1048576" help:"Largest message or polling body that a browser may send, in bytes."`
	QueueLength  int           `default:"4096" help:"Events that may wait for one socket; beyond it the browser does not keep up and is closed."`
	QueueBytes   int           `default:"2097152" help:"Bytes that may wait for one socket; beyond it the browser does not keep up and is closed."`
	WriteTimeout time.Duration `default:"10s" help:"How long the network may refuse bytes for a socket before it is closed."`

	MaxFrames int `default:"100" help:"Frames and packets a second from one socket, ten seconds' worth of them at once; beyond it the socket is closed. 0 is no limit."`
}

// DefaultConfig returns the defaults of the flags.
func DefaultConfig() Config {
	return Config{
		PingInterval: 25 * time.Second,
		PingTimeout:  20 * time.Second,
		MaxPayload:   1 << 20,
		QueueLength:  4096,
		QueueBytes:   2 << 20,
		WriteTimeout: 10 * time.Second,
		MaxFrames:    100,
	}
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	const shortest, longest = 100 * time.Millisecond, time.Hour
	return cmp.Or(
		within("--ping-interval", c.PingInterval, shortest, longest),
		within("--ping-timeout", c.PingTimeout, shortest, longest),
		within("--max-payload", c.MaxPayload, 1<<10, 64<<20),
		within("--queue-length", c.QueueLength, 16, 1_000_000),
		within("--queue-bytes", c.QueueBytes, 64<<10, 1<<30),
		within("--write-timeout", c.WriteTimeout, shortest, longest),
		within("--max-frames", c.MaxFrames, 0, 1_000_000),
	)
}

func within[T cmp.Ordered](flag string, value, least, most T) error {
	if value < least || value > most {
		return fmt.Errorf("%s is %v: it must be %v to %v", flag, value, least, most)
	}
	return nil
}
