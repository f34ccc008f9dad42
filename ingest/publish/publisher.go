// Package publish sends emits to the gateways and reports an outcome for each receiver: reached, nobody connected, or
// not known.
//
//	HTTP API ──Emit──▶ Publisher.Publish ──▶ carrier ──┬─▶ process.go ──▶ the gateway in this process
//	                                                   └─▶ bus.go ──▶ sender.go ──▶ NATS subject user.<id>
//	         ◀─[]Outcome────────────────── pending.go ◀── collector.go ◀──────────── receipts of the gateways
//
// Package legacy is the HTTP API, and does not use NATS itself. This package uses NATS, and does not know HTTP.
//
// # Locks
//
// Three locks exist: process.mu, pendingEmits.mu and stability.mu. None is taken while another one is held.
//
// No lock is held during a call of nats.go. nats.go holds the lock of its connection while it connects, for up to two
// seconds if the server's machine does not respond, and nearly all of its methods wait for that lock. An emit must be
// answered within a second all the same. So one goroutine, that of [sender], publishes for all emits, and [stability]
// asks nats.go for the list of servers only while the connection is up.
package publish

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/internal/wire"
)

const (
	// Bound is how long [Publisher.Publish] waits for receipts. docs/protocol.md promises it: /emit answers 503 after
	// it.
	Bound = time.Second
	// MaxPayload is the largest max_payload, in bytes, that nats-server accepts without a warning.
	MaxPayload = 8 << 20
)

// Errors of [Publisher.Publish] besides [wire.ErrID], [wire.ErrProject], [wire.ErrEvent] and [wire.ErrData], which
// report an invalid emit.
var (
	// ErrReceivers reports an emit with more than [wire.MaxReceivers] receivers. Nothing of it was sent.
	ErrReceivers = fmt.Errorf("an emit names at most %d receivers: name the others in a further emit", wire.MaxReceivers)
	// ErrTooLarge reports an emit that is larger than the NATS server's max_payload.
	ErrTooLarge = errors.New("the emit is larger than NATS takes: send less, or raise max_payload of nats-server")
	// ErrNotSent reports that the message for at least one receiver could not be published on NATS.
	ErrNotSent = errors.New("NATS did not take the emit: emit again when NATS is connected")
	// ErrUnconfirmed reports that no final answer arrived in time for at least one receiver.
	ErrUnconfirmed = errors.New("the gateways did not confirm the emit in time: it may have been delivered or not")
	// ErrUnstable reports that the emit may have missed a gateway, because the connection to NATS, or a server of the
	// NATS cluster, was lost less than a second ago. Gateways reconnect within that second.
	ErrUnstable = errors.New("a NATS server was lost a moment ago and gateways may not have reconnected: try again in a second")
)

// An Emit is one event for some users.
type Emit struct {
	// Project is the project of the users; "" is the default one.
	Project string
	// To holds the ids of the users, at most [wire.MaxReceivers]. An empty id is skipped: its outcome is [Nobody]. An
	// id that is listed twice gets the event twice.
	To []string
	// Event is the name of the event. [wire.Reserved] reports the names that are refused.
	Event string
	// Args are the arguments of the event, each one JSON text in UTF-8. Browsers get exactly these bytes.
	Args [][]byte
	// Except is the Socket.IO id of a socket that does not get the event; "" excludes none.
	Except string
}

// messages checks the emit. It returns the subject of each receiver, "" for an empty id, and the message for all of
// them.
func (e Emit) messages() (subjects []string, m wire.Message, err error) {
	if len(e.To) > wire.MaxReceivers {
		return nil, m, ErrReceivers
	}
	subjects = make([]string, len(e.To))
	for i, id := range e.To {
		if id == "" {
			continue
		}
		if subjects[i], err = wire.Subject(e.Project, id); err != nil {
			return nil, m, err
		}
	}
	m.Except = e.Except
	m.Payload, err = wire.Encode(e.Event, e.Args...)
	return subjects, m, err
}

// A Policy says which receipts [Publisher.Publish] waits for. It never waits longer than [Publisher.Bound].
type Policy uint8

const (
	// FirstReceipt waits until a socket of any receiver took the event, or until it is known of all receivers that they
	// have no socket. Receivers that have not been answered by then are [NotKnown].
	FirstReceipt Policy = iota
	// AllReceivers waits until it is known of every receiver either that a socket took the event or that it has no
	// socket. [Outcome.Sockets] is the sum of the receipts that have arrived by then; it lacks those of slower
	// gateways.
	AllReceivers
)

// A State is what is known of one receiver.
type State uint8

const (
	// NotKnown means that no gateway has reported a socket that took the event, but that one may still have done so.
	NotKnown State = iota
	// Nobody means that no gateway has a socket of the receiver.
	Nobody
	// Reached means that a socket took the event: it was written to the kernel, or is in the socket's queue.
	Reached
)

// An Outcome is the result of an emit for one receiver.
type Outcome struct {
	State   State
	Sockets int // how many sockets took the event; above zero if State is Reached, else zero
}

// A request asks a carrier to send one message to several subjects.
type request struct {
	subjects []string     // by receiver; "" is skipped
	message  wire.Message // its Subject is not set
	policy   Policy
	bound    time.Duration
}

// A carrier sends a message to the gateways and returns an outcome for each subject. The error is nil if the policy is
// fulfilled. There are two carriers: [bus] for NATS, and [process] for the gateway in this process.
type carrier interface {
	carry(context.Context, request) ([]Outcome, error)
}

// A Publisher publishes emits. It is safe for concurrent use.
type Publisher struct {
	// Bound is how long Publish waits for receipts; New sets it to [Bound]. It must not be changed during a Publish.
	Bound time.Duration

	bus     *bus
	process *process // nil without a gateway in this process
}

// New returns a publisher that uses nc, and registers its metrics with reg. Call Start before Publish.
func New(nc *nats.Conn, reg prometheus.Registerer) *Publisher {
	return &Publisher{Bound: Bound, bus: newBus(nc, reg)}
}

// UseGateway makes Publish call the gateway of this process directly, without NATS, as long as no other node can have
// sockets. docs/decisions/0010 gives the reasons. UseGateway must be called before the first Publish.
//
// alone reports whether no other node can receive a message on NATS. It must be safe for concurrent use.
func (p *Publisher) UseGateway(alone func() bool, gateway Gateway) {
	p.process = &process{alone: alone, gateway: gateway}
}

// Start subscribes to the receipts and starts the publisher's goroutines. Close ends them. After an error nothing runs,
// and calling Close is allowed.
func (p *Publisher) Start() error {
	if err := p.bus.start(); err != nil {
		return fmt.Errorf("start the publisher: %w", err)
	}
	return nil
}

// Close ends the publisher for good. An emit that is still waiting gets no further answers and ends at its bound. The
// NATS connection stays open. Close may be called before Start and more than once.
func (p *Publisher) Close() { p.bus.close() }

// Publish sends an emit to all of its receivers and waits for the receipts that the policy asks for, at most
// [Publisher.Bound]. It returns an outcome for each entry of [Emit.To], in the same order.
//
// An invalid emit is not sent at all, and the outcomes are nil. With any other error the outcomes hold what is known:
// [ErrTooLarge] and [ErrNotSent] report a failed publish, [ErrUnconfirmed] and [ErrUnstable] that the policy is not
// fulfilled. If ctx ends, Publish stops sending and waiting and returns [ErrUnconfirmed]; messages already sent are
// still delivered.
func (p *Publisher) Publish(ctx context.Context, e Emit, policy Policy) ([]Outcome, error) {
	subjects, message, err := e.messages()
	if err != nil {
		return nil, err
	}
	var via carrier = p.bus
	if p.process != nil && p.process.available(2*p.Bound) {
		via = p.process
	}
	return via.carry(ctx, request{subjects: subjects, message: message, policy: policy, bound: p.Bound})
}
