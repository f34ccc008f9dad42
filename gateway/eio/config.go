package eio

import "time"

// Config holds what an operator may set. Zero values are not defaults: the
// tags carry those, and [DefaultConfig] gives them to tests.
type Config struct {
	PingInterval time.Duration `default:"25s" help:"Time between heartbeats of a socket."`
	PingTimeout  time.Duration `default:"20s" help:"How long a socket may take to answer a heartbeat before it is closed."`
	MaxPayload   int64         `default:"1048576" help:"Largest message or polling body that a browser may send, in bytes."`
	QueueLength  int           `default:"4096" help:"Events that may wait for one socket; beyond it the browser does not keep up and is closed."`
	QueueBytes   int           `default:"2097152" help:"Bytes that may wait for one socket; beyond it the browser does not keep up and is closed."`
	WriteTimeout time.Duration `default:"10s" help:"How long the network may refuse bytes for a socket before it is closed."`
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
	}
}

// upgradeTimeout bounds the time from a websocket probe to the end of the
// upgrade; Node's server uses the same.
const upgradeTimeout = 10 * time.Second

// A Reason says why a session ended. The set is closed, so it can label a metric.
type Reason string

// The reasons for which this package closes a session; the layer above may add its own.
const (
	ReasonClient    Reason = "client close"    // the browser said so, or its websocket closed in order
	ReasonNetwork   Reason = "network"         // the connection broke
	ReasonTimeout   Reason = "ping timeout"    // no heartbeat came
	ReasonSlow      Reason = "slow"            // the browser did not take what was sent to it
	ReasonProtocol  Reason = "protocol error"  // it sent what the protocol forbids
	ReasonUTF8      Reason = "not utf-8"       // it sent text on its websocket that is not UTF-8
	ReasonTooLarge  Reason = "too large"       // it sent more than MaxPayload at once
	ReasonServer    Reason = "server shutdown" // this server ends
	ReasonPanicking Reason = "internal error"  // a fault of ours, logged
)
