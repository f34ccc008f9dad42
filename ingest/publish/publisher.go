// Package publish hands emits to the gateways and reports, for each receiver, what became of them.
//
//	a face ──Emit──▶ Publisher.Publish ──▶ a carrier ──┬─▶ process.go ──▶ the gateway of the same process
//	                                                   └─▶ bus.go ──▶ sender.go ──▶ NATS user.<id>
//	       ◀─[]Outcome──────────────────── pending.go ◀── collector.go ◀──────────── receipts of the gateways
//
// The faces of the ingest (package legacy) speak HTTP and not NATS. This package speaks NATS and not HTTP.
//
// # Locks
//
// Three locks exist: process.mu, pendingEmits.mu and stability.mu. None is taken while another one is held.
//
// None is held across a call of nats.go. nats.go holds its connection's lock while it connects, for up to two seconds
// where the server's machine is silent, and nearly all of its methods wait for that lock. An emit must be answered
// within a second all the same. So a single goroutine, [sender], publishes for all emits, and stability asks the
// connection for its servers only while the connection stands.
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
	// Bound is how long [Publisher.Publish] waits for receipts. It is part of the promise of /emit: 503 after it.
	Bound = time.Second
	// MaxPayload is the size of the largest message that NATS carries well, in bytes: nats-server warns above it.
	MaxPayload = 8 << 20
)

// Errors of [Publisher.Publish] besides [wire.ErrID], [wire.ErrProject], [wire.ErrEvent] and [wire.ErrData], which
// report an invalid emit.
var (
	// ErrReceivers reports an emit with more than [wire.MaxReceivers] receivers. Nothing of it was sent.
	ErrReceivers = fmt.Errorf("an emit names at most %d receivers: name the others in a further emit", wire.MaxReceivers)
	// ErrTooLarge reports an emit that is larger than the NATS server's max_payload.
	ErrTooLarge = errors.New("the emit is larger than NATS takes: send less, or raise max_payload of nats-server")
	// ErrNotSent reports that NATS did not take the emit, for some receivers at least.
	ErrNotSent = errors.New("NATS did not take the emit: emit again when NATS is connected")
	// ErrUnconfirmed reports that some receiver was not answered for in time.
	ErrUnconfirmed = errors.New("the gateways did not confirm the emit in time: it may have been delivered or not")
	// ErrUnstable reports that gateways may not have been asked, because the connection to NATS, or a server of its
	// cluster, was lost a moment ago. Gateways come back within a second.
	ErrUnstable = errors.New("a NATS server was lost a moment ago and gateways may not be back: try again in a second")
)

// An Emit is one event for some users.
type Emit struct {
	// Project is the project of the users; "" is the default one.
	Project string
	// To holds the ids of the users, at most [wire.MaxReceivers]. An empty id names nobody. A user who is named twice
	// gets the event twice.
	To []string
	// Event is the name of the event. Names that [wire.Reserved] knows are refused.
	Event string
	// Args are the arguments of the event, each one JSON text in UTF-8. Browsers get them byte for byte.
	Args [][]byte
	// Except is the Socket.IO id of a socket that does not get the event; "" excludes none.
	Except string
}

// messages checks the emit. It returns the subject of each receiver, "" for one that names nobody, and the message
// that goes to each of them.
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

// A Policy says how long [Publisher.Publish] waits for receipts within [Publisher.Bound].
type Policy uint8

const (
	// FirstReceipt waits until a socket of any receiver took the event, or until nobody is left who could take it.
	// Receivers of whom nothing is known by then are [NotKnown].
	FirstReceipt Policy = iota
	// AllReceivers waits until it is known of every receiver that a socket took the event or that nobody could. A
	// receiver's count holds the receipts that have arrived by then: gateways that were slower are not in it.
	AllReceivers
)

// A State is what is known of one receiver.
type State uint8

const (
	// NotKnown means that no gateway took the event as far as is known, and that one may have.
	NotKnown State = iota
	// Nobody means that no gateway has a socket of the receiver.
	Nobody
	// Reached means that a socket took the event: the kernel has it, or the socket's queue.
	Reached
)

// An Outcome is what became of an emit for one receiver.
type Outcome struct {
	State   State
	Sockets int // how many sockets took the event; above zero if State is Reached, else zero
}

// A request is what a carrier is asked to carry: one message to several subjects.
type request struct {
	subjects []string     // by receiver; "" is nobody's
	message  wire.Message // without a subject
	policy   Policy
	bound    time.Duration
}

// A carrier brings a message to the gateways and returns what became of it for each subject. The error is nil if the
// policy is fulfilled. There are two: [bus] and [process].
type carrier interface {
	carry(context.Context, request) ([]Outcome, error)
}

// A Publisher publishes emits. It is safe for concurrent use.
type Publisher struct {
	// Bound is how long Publish waits for receipts: [Bound], unless it is changed while nothing is published.
	Bound time.Duration

	bus     *bus
	process *process // nil without a gateway in this process
}

// New returns a publisher on nc. It publishes after Start. Its metrics are registered at reg.
func New(nc *nats.Conn, reg prometheus.Registerer) *Publisher {
	return &Publisher{Bound: Bound, bus: newBus(nc, reg)}
}

// UseGateway hands emits to the gateway of the same process while no other node could have sockets.
// docs/decisions/0010 says what that gains and why nobody can tell the difference. It is called before Publish.
//
// alone reports whether no message on NATS could reach another node. emit serves the sockets of a user, and returns
// the receipt when the event is written to them. Both must be safe for concurrent use.
func (p *Publisher) UseGateway(alone func() bool, emit func(wire.Message) wire.Receipt) {
	p.process = &process{alone: alone, emit: emit}
}

// Start subscribes to the receipts and starts the publisher's goroutines. Close undoes it, also after an error.
func (p *Publisher) Start() error {
	if err := p.bus.start(); err != nil {
		return fmt.Errorf("start the publisher: %w", err)
	}
	return nil
}

// Close ends the publisher for good. Emits that wait end as if the gateways kept silent. The NATS connection stays
// open. Close may be called before Start and more than once.
func (p *Publisher) Close() { p.bus.close() }

// Publish sends an emit to all of its receivers and waits, for as long as the policy says, to learn what became of it.
// It returns an outcome for each entry of [Emit.To], in their order.
//
// An invalid emit is not sent to anybody: the outcomes are nil then. Any other error comes with the outcomes as far as
// they are known: [ErrTooLarge], [ErrNotSent], or, where the policy is not fulfilled, [ErrUnconfirmed] or
// [ErrUnstable]. If ctx ends, Publish stops sending and waiting and returns [ErrUnconfirmed]; what was sent stays sent.
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
