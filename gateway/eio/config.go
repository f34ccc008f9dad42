package eio

import (
	"cmp"
	"fmt"
	"time"
)

// Config holds an operator's settings. Zero values are not defaults: the tags
// hold the defaults, and [DefaultConfig] returns them to tests.
// docs/decisions/0006 gives the reasons for the limits.
type Config struct {
	PingInterval time.Duration `default:"25s" help:"Time between two heartbeats of a socket."`
	PingTimeout  time.Duration `default:"20s" help:"How long a socket may leave a heartbeat unanswered before it is closed. Clients before 3.0 send the heartbeats themselves; those may be late by three times this."`
	MaxPayload   int64         `default:"1048576" help:"Largest message or polling body that a browser may send, in bytes."`
	QueueLength  int           `default:"4096" help:"Events that may be queued for one socket. A socket whose queue is longer is closed as slow."`
	QueueBytes   int           `default:"2097152" help:"Bytes that may be queued for one socket. A socket whose queue is larger is closed as slow."`
	WriteTimeout time.Duration `default:"10s" help:"How long the network may accept no bytes for a socket before it is closed as slow. On polling it must accept 64 KiB of an answer in this time."`

	MaxFrames int `default:"100" help:"Frames and packets a second that a socket may send, in bursts of up to ten seconds' worth. A socket that sends more is closed. 0 means no limit."`
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

// Validate returns an error for the first setting that is out of range.
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

// within returns an error unless value is from least to most.
func within[T cmp.Ordered](flag string, value, least, most T) error {
	if value < least || value > most {
		return fmt.Errorf("%s is %v: it must be %v to %v", flag, value, least, most)
	}
	return nil
}
