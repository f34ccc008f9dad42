package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// BusConfig says where NATS is.
type BusConfig struct {
	NatsURL string `required:"" placeholder:"nats://HOST:4222" help:"Address of NATS, or several with commas between them."`
}

// Validate says what is wrong with the configuration.
func (c BusConfig) Validate() error {
	if strings.Trim(c.NatsURL, ", ") == "" {
		return errors.New("--nats-url is empty") // nats.go would take it for 127.0.0.1:4222
	}
	return nil
}

// drainTime bounds the end of a NATS connection.
const drainTime = 5 * time.Second

// Connect returns a connection that comes back by itself, however long the bus
// is away; it need not be there yet. While it is away publishes fail at once:
// nats.go would keep them and lose them with no error. fail is told when the
// connection is closed for good, which only a fault of ours or a refusal of
// the server brings about.
func Connect(url, name string, log *slog.Logger, fail func(error), opts ...nats.Option) (*nats.Conn, error) {
	opts = append([]nats.Option{
		nats.Name(name),
		nats.MaxReconnects(-1),
		nats.RetryOnFailedConnect(true),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, 250*time.Millisecond),
		nats.ReconnectBufSize(-1),
		nats.PingInterval(10 * time.Second),
		nats.DrainTimeout(drainTime),
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
			if err != nil {
				log.Warn("nats disconnected", "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) { log.Info("nats reconnected", "url", nc.ConnectedUrlRedacted()) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Error("nats", "error", err) }),
		nats.ClosedHandler(func(nc *nats.Conn) {
			fail(fmt.Errorf("the NATS connection is closed for good: %w", nc.LastError()))
		}),
	}, opts...)
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	return nc, nil
}

// Drain lets go of all subscriptions, sends what is queued and returns when
// the connection is closed; nats.go's own returns before.
func Drain(nc *nats.Conn) {
	nc.SetClosedHandler(nil)
	closed := nc.StatusChanged(nats.CLOSED)
	if err := nc.Drain(); err != nil {
		nc.Close() // not connected: there is nothing to drain
		return
	}
	select {
	case <-closed:
	case <-time.After(drainTime):
		nc.Close()
	}
}

// Connected is the check that the bus is there.
func Connected(nc *nats.Conn) func() error {
	return func() error {
		if nc.IsConnected() {
			return nil
		}
		return errors.New("not connected")
	}
}
