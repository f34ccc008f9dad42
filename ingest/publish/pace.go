package publish

import (
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// underWay is how many bytes of the large messages of an emit may be on their way to the gateways, without an answer,
	// beside one message. They are before the small messages of other emits, in NATS and in the kernel.
	underWay = 1 << 20
	// patience is how long an emit waits for an answer before it sends the next large message all the same. So a gateway
	// that is slow for one receiver does not keep the others waiting: the largest emit by default has 64 messages of
	// 1 MiB, which then take two thirds of its second.
	patience = 10 * time.Millisecond
)

// A pace keeps few large messages of an emit under way. The zero value has no limit. It belongs to the goroutine of the
// emit.
type pace struct {
	heard  chan struct{} // gets a token for each answer; nil without a limit
	window int           // how many messages may be under way
	now    int           // how many are

	patience time.Duration // patience, except in tests
}

// newPace returns the pace of an emit whose messages have so many bytes each.
func newPace(size int, patience time.Duration) pace {
	if size <= smallMessage {
		return pace{}
	}
	window := max(1, underWay/size)
	return pace{heard: make(chan struct{}, window), window: window, patience: patience}
}

// wait returns nil if the message may be sent now. If not, the channel gets a value when the emit has waited for
// [patience].
func (p *pace) wait(m *nats.Msg) <-chan time.Time {
	if p.heard == nil || len(m.Data) <= smallMessage || p.now < p.window {
		return nil
	}
	return time.After(p.patience)
}

// sent counts a message.
func (p *pace) sent(m *nats.Msg) {
	if len(m.Data) > smallMessage {
		p.now++
	}
}

// answered uncounts one.
func (p *pace) answered() { p.now = max(0, p.now-1) }
