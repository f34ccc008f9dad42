package publish

import (
	"fmt"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/internal/wire"
)

// A collector receives what gateways and NATS answer and adds it to the pending emits. Its methods run in the
// goroutines that nats.go has for the two subscriptions.
type collector struct {
	inbox   inbox
	pending *pendingEmits
	stable  func() bool // see [stability.stable]; called without a lock held
	metrics *metrics

	answers atomic.Pointer[nats.Subscription] // nil before start
	givenUp atomic.Pointer[nats.Subscription]
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
		_ = sub.Unsubscribe() // fails without a connection, without a subscription and a second time
	}
}

// onAnswer takes one answer: a gateway's receipt, or NATS's word that no gateway holds the user.
func (c *collector) onAnswer(m *nats.Msg) {
	number, receiver, counted, ok := c.inbox.parse(m.Subject)
	noResponders := len(m.Data) == 0 && m.Header.Get("Status") == "503"
	receipt, err := wire.ParseReceipt(m.Data)
	if !ok || err != nil && !noResponders {
		c.metrics.malformed.Inc()
		return
	}
	a := answer{noResponders: noResponders, sockets: receipt.Sockets}
	a.unstable = a.sockets == 0 && !c.stable()
	switch c.pending.answer(number, receiver, a, counted) {
	case fitsNot:
		c.metrics.malformed.Inc()
	case fitsLate:
		c.metrics.late.Inc()
	}
}

// onGivenUp hears that a gateway of a cluster has given up a user, whose subject is the message. For an emit that
// nothing was heard of, that is as good as the gateway's zero: it has sent the receipts of the emits that reached it.
// Those that were still on their way to it no gateway has. NATS keeps the order, so no emit that is published after
// this was heard can meet that fate.
func (c *collector) onGivenUp(m *nats.Msg) {
	c.pending.givenUp(m.Data, answer{unstable: !c.stable()})
}

// backlog returns a function that counts the answers that nats.go dropped because they came faster than they were
// taken. It keeps the last count when the subscription has ended.
func (c *collector) backlog() func() float64 {
	var last atomic.Int64
	return func() float64 {
		if n, err := c.answers.Load().Dropped(); err == nil {
			last.Store(int64(n))
		}
		return float64(last.Load())
	}
}
