package publish

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ramainen/doit-socket/internal/wire"
)

// statGap is how long the last gateway that answers may be behind the one before it.
const statGap = 100 * time.Millisecond

// Stat asks every gateway for its numbers and returns their sums: connected sockets, and user ids that are registered
// at a gateway. A user of two gateways counts twice. It is an error if a gateway answers with anything else, if none
// of them answers within [Publisher.Bound] though one is there, if ctx ends, and [ErrUnstable] if gateways may be
// missing from the sums.
func (p *Publisher) Stat(ctx context.Context) (sockets, users int, err error) {
	nc := p.bus.nc
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return 0, 0, fmt.Errorf("subscribe to the gateways' numbers: %w", err)
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
			return 0, 0, fmt.Errorf("wait for the gateways' numbers: %w", err)
		}
		stat, err := wire.ParseStat(m.Data)
		if err != nil {
			return 0, 0, fmt.Errorf("read a gateway's numbers: %w", err)
		}
		sockets, users = sockets+stat.Sockets, users+stat.Users
	}
}

// nextMessage waits for one message. The error is [nats.ErrTimeout] if none comes in time.
func nextMessage(ctx context.Context, sub *nats.Subscription, wait time.Duration) (*nats.Msg, error) {
	waiting, cancel := context.WithTimeoutCause(ctx, wait, nats.ErrTimeout)
	defer cancel()
	m, err := sub.NextMsgWithContext(waiting)
	if errors.Is(err, context.DeadlineExceeded) {
		err = context.Cause(waiting)
	}
	return m, err
}
