package publish

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/internal/wire"
)

// recountInterval is how long after a zero the gateways are asked whether one still holds the user, and again after
// that. Receipts that were under way together with the zero arrive before the first question.
const recountInterval = 50 * time.Millisecond

// bus is the carrier over NATS: it publishes a request for each receiver and waits for what the gateways answer.
// docs/decisions/0004 says what an answer means.
type bus struct {
	nc        *nats.Conn
	recount   time.Duration // recountInterval, except in tests
	inbox     inbox
	pending   *pendingEmits
	collector *collector
	sender    *sender
	stability *stability

	closing context.Context // done once close is called
	end     context.CancelFunc
	running sync.WaitGroup // the goroutines of sender and stability
}

func newBus(nc *nats.Conn, reg prometheus.Registerer) *bus {
	b := &bus{
		nc: nc, recount: recountInterval, inbox: newInbox(nc),
		pending: newPendingEmits(), sender: newSender(nc), stability: newStability(nc),
	}
	b.collector = newCollector(b.inbox, b.pending, b.stability.stable, reg)
	b.closing, b.end = context.WithCancel(context.Background())
	return b
}

func (b *bus) start() error {
	b.stability.start()
	if err := b.collector.start(b.nc); err != nil {
		b.close()
		return err
	}
	b.running.Go(func() { b.sender.run(b.closing.Done()) })
	b.running.Go(func() { b.stability.run(b.closing.Done()) })
	return nil
}

func (b *bus) close() {
	b.collector.close()
	b.end()
	b.running.Wait()
	b.stability.close()
}

// carry hands one message after the other to the sender. It waits for the answers only when all are sent: every
// receiver gets the event, also those behind the first that took it.
func (b *bus) carry(ctx context.Context, r request) ([]Outcome, error) {
	bound := time.NewTimer(r.bound)
	defer bound.Stop()
	number, e := b.pending.begin(r.subjects, r.policy)
	replies := b.inbox.emit(number)
	unsent := make([]*nats.Msg, 0, len(r.subjects))
	header := nats.Header(r.message.Header())
	for i, subject := range r.subjects {
		if subject != "" {
			unsent = append(unsent, &nats.Msg{Subject: subject, Reply: replies.receipt(i), Header: header, Data: r.message.Payload})
		}
	}
	failed := make(chan error, 1)
	var recount <-chan time.Time
	for {
		done := e.done
		var queue chan<- publication
		var next publication
		if len(unsent) > 0 {
			done, queue, next = nil, b.sender.queue, publication{unsent[0], failed}
		}
		select {
		case queue <- next:
			unsent = unsent[1:]
		case err := <-failed:
			return b.pending.end(number, false, notSent(err))
		case <-done:
			return b.pending.end(number, false, nil)
		case <-bound.C:
			return b.pending.end(number, true, nil)
		case <-ctx.Done():
			return b.pending.end(number, false, interrupted(ctx))
		case <-e.zero:
			if recount == nil {
				recount = time.After(b.recount)
			}
		case <-recount:
			recount = time.After(b.recount)
			if len(unsent) > 0 {
				break
			}
			count := nats.Header(wire.Message{Op: wire.OpCount}.Header())
			for _, i := range b.pending.zeros(e) {
				unsent = append(unsent, &nats.Msg{Subject: r.subjects[i], Reply: replies.count(i), Header: count})
			}
		}
	}
}

// notSent makes an error of this package of one of nats.go.
func notSent(err error) error {
	if errors.Is(err, nats.ErrMaxPayload) {
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	return fmt.Errorf("%w: %w", ErrNotSent, err)
}

// interrupted is the error of an emit whose context has ended.
func interrupted(ctx context.Context) error {
	return fmt.Errorf("%w: %w", ErrUnconfirmed, context.Cause(ctx))
}
