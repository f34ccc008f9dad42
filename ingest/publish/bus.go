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

// recountInterval is the time from an answer of zero sockets to the first count request, and between count requests. A
// receipt of another gateway that was sent at the same time as the zero arrives before the first one.
const recountInterval = 50 * time.Millisecond

// errBound is the cause of the end of an emit's context if its bound has passed.
var errBound = errors.New("its time is over")

// bus is the carrier over NATS: it publishes a request for each receiver and waits for the gateways' receipts. A
// receiver that is answered with zero sockets may still have some on another gateway. So carry sends count requests
// until the receiver is final: a receipt arrives, NATS reports "no responders", or the bound has passed.
// docs/decisions/0004 gives the reasons.
type bus struct {
	nc        *nats.Conn
	recount   time.Duration // recountInterval, except in tests
	patience  time.Duration // patience, except in tests
	inbox     inbox
	pending   *pendingEmits
	collector *collector
	sender    *sender
	stats     *stats
	stability *stability

	closing context.Context // done once close is called
	end     context.CancelFunc
	running sync.WaitGroup // the goroutines that start begins: sender.run, stats.run and stability.run
}

func newBus(nc *nats.Conn, reg prometheus.Registerer) *bus {
	b := &bus{
		nc: nc, recount: recountInterval, patience: patience, inbox: newInbox(nc),
		pending: newPendingEmits(), sender: newSender(nc), stability: newStability(nc),
	}
	b.stats = newStats(nc.NewInbox()+".", b.sender.small, b.stability.stable)
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
	if err := b.stats.start(b.nc); err != nil {
		b.close()
		return err
	}
	b.running.Go(func() { b.sender.run(b.closing.Done()) })
	b.running.Go(func() { b.stats.run(b.closing.Done()) })
	b.running.Go(func() { b.stability.run(b.closing.Done()) })
	return nil
}

func (b *bus) close() {
	b.collector.close()
	b.stats.close()
	b.end()
	b.running.Wait()
	b.stability.close()
}

// carry passes the messages to the sender one by one. It looks at done only after all are sent: with FirstReceipt, too,
// every receiver gets the event. Nothing is passed to the sender once ctx has ended: select alone would not do, because
// it chooses at random if the sender is ready, too.
func (b *bus) carry(ctx context.Context, r request) ([]Outcome, error) {
	ctx, end := context.WithTimeoutCause(ctx, r.bound, errBound)
	defer end()
	pace := newPace(len(r.message.Payload), b.patience)
	number, e := b.pending.begin(r.subjects, r.policy, pace.heard)
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
	for ctx.Err() == nil {
		done := e.done
		var queue chan<- publication
		var next publication
		var late <-chan time.Time
		if len(unsent) > 0 {
			done = nil
			if late = pace.wait(unsent[0]); late == nil {
				queue, next = b.sender.queue(unsent[0]), publication{unsent[0], failed}
			}
		}
		select {
		case queue <- next:
			pace.sent(unsent[0])
			unsent = unsent[1:]
		case <-pace.heard:
			pace.answered()
		case <-late:
			pace.answered() // as good as: this answer is not waited for
		case err := <-failed:
			return b.pending.end(number, false, notSent(err))
		case <-done:
			return b.pending.end(number, false, nil)
		case <-ctx.Done():
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
	if errors.Is(context.Cause(ctx), errBound) {
		return b.pending.end(number, true, nil)
	}
	return b.pending.end(number, false, interrupted(ctx))
}

// notSent converts a publish error of nats.go into ErrTooLarge or ErrNotSent.
func notSent(err error) error {
	if errors.Is(err, nats.ErrMaxPayload) {
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	return fmt.Errorf("%w: %w", ErrNotSent, err)
}

// interrupted returns the error of an emit whose context has ended.
func interrupted(ctx context.Context) error {
	return fmt.Errorf("%w: %w", ErrUnconfirmed, context.Cause(ctx))
}
