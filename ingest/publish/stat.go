package publish

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ramainen/doit-socket/internal/wire"
)

// statGap is how long Stat waits for another gateway's answer after the last one. A slower gateway is not counted.
const statGap = 100 * time.Millisecond

// Stat asks every gateway for its numbers and returns their sums: connected sockets and registered user ids. An id that
// is registered on two gateways counts twice. Without gateways the sums are zero. Stat returns an error if an answer is
// malformed, if gateways exist but none answers within [Publisher.Bound], or if ctx ends. It returns [ErrUnstable] if
// gateways may be missing from the sums.
func (p *Publisher) Stat(ctx context.Context) (sockets, users int, err error) {
	nc := p.bus.nc
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return 0, 0, fmt.Errorf("subscribe to the answers of the gateways: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := nc.PublishRequest(wire.SubjectStat, inbox, nil); err != nil {
		return 0, 0, fmt.Errorf("publish %q: %w", wire.SubjectStat, err)
	}
	for wait := p.Bound; ; wait = statGap {
		m, err := nextMessage(ctx, sub, wait)
		switch {
		case errors.Is(err, nats.ErrNoResponders), errors.Is(err, nats.ErrTimeout) && wait == statGap:
			if !p.bus.stability.stable() {
				return 0, 0, ErrUnstable
			}
			return sockets, users, nil
		case err != nil:
			return 0, 0, fmt.Errorf("wait for the answers of the gateways: %w", err)
		}
		stat, err := wire.ParseStat(m.Data)
		if err != nil {
			return 0, 0, fmt.Errorf("parse the answer of a gateway: %w", err)
		}
		sockets, users = sockets+stat.Sockets, users+stat.Users
	}
}

// nextMessage waits for one message. It returns [nats.ErrTimeout] if none arrives within wait.
func nextMessage(ctx context.Context, sub *nats.Subscription, wait time.Duration) (*nats.Msg, error) {
	waiting, cancel := context.WithTimeoutCause(ctx, wait, nats.ErrTimeout)
	defer cancel()
	m, err := sub.NextMsgWithContext(waiting)
	if errors.Is(err, context.DeadlineExceeded) {
		err = context.Cause(waiting)
	}
	return m, err
}
