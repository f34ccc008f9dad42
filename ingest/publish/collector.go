package publish

import (
	"fmt"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/internal/wire"
)

// A collector receives the answers of gateways and of NATS and adds them to the pending emits. onAnswer and onGivenUp
// run in goroutines of nats.go, one for each of the two subscriptions.
type collector struct {
	inbox   inbox
	pending *pendingEmits
	stable  func() bool // [stability.stable]; called without holding a lock
	metrics *metrics

	answers atomic.Pointer[nats.Subscription] // on the inbox; nil before start
	givenUp atomic.Pointer[nats.Subscription] // on [wire.SubjectLeft]; nil before start
}

func newCollector(in inbox, pending *pendingEmits, stable func() bool, reg prometheus.Registerer) *collector {
	c := &collector{inbox: in, pending: pending, stable: stable}
	c.metrics = newMetrics(reg, c.backlog())
	return c
}

func (c *collector) start(nc *nats.Conn) error {
	answers, err := nc.Subscribe(c.inbox.all(), c.onAnswer)
	if err != nil {
		return fmt.Errorf("subscribe to receipts: %w", err)
	}
	c.answers.Store(answers)
	givenUp, err := nc.Subscribe(wire.SubjectLeft, c.onGivenUp)
	if err != nil {
		return fmt.Errorf("subscribe %q: %w", wire.SubjectLeft, err)
	}
	c.givenUp.Store(givenUp)
	return nil
}

func (c *collector) close() {
	for _, sub := range []*nats.Subscription{c.answers.Load(), c.givenUp.Load()} {
		_ = sub.Unsubscribe() // an error means that there is nothing to unsubscribe
	}
}

// onAnswer handles one answer: a gateway's receipt, or NATS's "no responders", which means that no gateway is
// subscribed to the user.
func (c *collector) onAnswer(m *nats.Msg) {
	number, receiver, counted, ok := c.inbox.parse(m.Subject)
	noResponders := len(m.Data) == 0 && m.Header.Get("Status") == "503"
	var receipt wire.Receipt
	var err error
	if !noResponders {
		receipt, err = wire.ParseReceipt(m.Data)
	}
	if !ok || err != nil {
		c.metrics.malformed.Inc()
		return
	}
	a := answer{noResponders: noResponders, sockets: receipt.Sockets}
	a.unstable = a.sockets == 0 && !c.stable()
	switch c.pending.answer(number, receiver, a, counted) {
	case unexpected:
		c.metrics.malformed.Inc()
	case late:
		c.metrics.late.Inc()
	}
}

// onGivenUp handles the message that a gateway of a cluster has unsubscribed from a user; the payload is the user's
// subject. It counts as an answer of zero sockets for every pending emit to the user that has no answer yet. That is
// safe: the gateway sent its receipts for the emits that reached it before this message, and an emit that was still
// under way to it reaches no gateway. An emit that is published later is not affected, because NATS keeps the order.
func (c *collector) onGivenUp(m *nats.Msg) {
	c.pending.givenUp(m.Data, answer{unstable: !c.stable()})
}

// backlog returns a function that returns how many answers nats.go has dropped because they arrived faster than
// onAnswer handled them. After the subscription has ended it returns the last count.
func (c *collector) backlog() func() float64 {
	var last atomic.Int64
	return func() float64 {
		if n, err := c.answers.Load().Dropped(); err == nil {
			last.Store(int64(n))
		}
		return float64(last.Load())
	}
}
