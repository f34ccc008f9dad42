// Package publish sends emits to the gateways and reports an outcome for each receiver: reached, nobody connected, or
// not known.
//
//	HTTP API ──Emit──▶ Publisher.Publish ──▶ carrier ──┬─▶ process.go ──▶ the gateway in this process
//	                                                   └─▶ bus.go, pace.go ──▶ sender.go ──▶ NATS subject user.<id>
//	         ◀─[]Outcome────────────────── pending.go ◀── collector.go ◀──────────── receipts of the gateways
//
// Package legacy is the HTTP API, and does not use NATS itself. This package uses NATS, and does not know HTTP.
//
// # Locks
//
// Five locks exist: process.mu, admission.mu, pendingEmits.mu, stats.mu and stability.mu. None is taken while another
// one is held.
//
// No lock is held during a call of nats.go. nats.go holds the lock of its connection while it connects, for up to two
// seconds if the server's machine does not respond, and nearly all of its methods wait for that lock. An emit must be
// answered within a second all the same. So one goroutine, that of [sender], publishes for all emits and for [stats],
// and [stability] asks nats.go for the list of servers only while the connection is up.
package publish

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/internal/wire"
)

const (
	// Bound is how long an emit takes at most. docs/protocol.md promises it: /emit answers 503 after it.
	Bound = time.Second
	// MaxPayload is the largest max_payload, in bytes, that nats-server accepts without a warning.
	MaxPayload = 8 << 20
)

// Errors of [Publisher.Publish] besides [wire.ErrID], [wire.ErrProject], [wire.ErrEvent] and [wire.ErrData], which
// report an invalid emit.
var (
	// ErrBusy reports an emit that was refused because too many run already, or too large ones: [Config.MaxEmits],
	// [Config.MaxEmitBytes]. Nothing of it was sent.
	ErrBusy = errors.New("too many or too large emits run already, in all or from this address: try again in a second, " +
		"or raise --max-emits or --max-emit-bytes")
	// ErrReceivers reports an emit with more than [wire.MaxReceivers] receivers. Nothing of it was sent.
	ErrReceivers = fmt.Errorf("an emit names at most %d receivers: name the others in a further emit", wire.MaxReceivers)
	// ErrRepeats reports an emit that names a receiver more than [wire.MaxRepeats] times. Nothing of it was sent.
	ErrRepeats = fmt.Errorf("an emit names a receiver at most %d times, because each time is an event of its own: "+
		"name it once, or send a further emit", wire.MaxRepeats)
	// ErrEmitBytes reports an emit that exceeds [Config.MaxEmitBytes]. Nothing of it was sent.
	ErrEmitBytes = errors.New("the event, once for each receiver, has more bytes than --max-emit-bytes allows: " +
		"name fewer receivers in one emit, send less, or raise it")
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
	// id that is listed twice gets the event twice; at most [wire.MaxRepeats] times.
	To []string
	// Event is the name of the event. [wire.Reserved] reports the names that are refused.
	Event string
	// Args are the arguments of the event, each one JSON text in UTF-8. Browsers get exactly these bytes.
	Args [][]byte
	// Except is the Socket.IO id of a socket that does not get the event; "" excludes none.
	Except string
	// From is the address of the program that emits. [Config.MaxEmits] is shared between addresses; emits with the zero
	// address have one share.
	From netip.Addr
}

// subjects checks the receivers. It returns the subject of each, "" for an empty id, and how many are not empty.
func (e Emit) subjects() (subjects []string, receivers int64, err error) {
	if len(e.To) > wire.MaxReceivers {
		return nil, 0, ErrReceivers
	}
	subjects = make([]string, len(e.To))
	for i, id := range e.To {
		if id == "" {
			continue
		}
		if subjects[i], err = wire.Subject(e.Project, id); err != nil {
			return nil, 0, err
		}
		receivers++
	}
	if repeats(subjects) {
		return nil, 0, ErrRepeats
	}
	return subjects, receivers, nil
}

// size returns the least number of bytes that the payload can have.
func (e Emit) size() int64 {
	size := len(e.Event)
	for _, arg := range e.Args {
		size += len(arg)
	}
	return int64(size)
}

// repeats reports whether a subject occurs more than [wire.MaxRepeats] times. An empty one does not count.
func repeats(subjects []string) bool {
	if len(subjects) <= wire.MaxRepeats {
		return false
	}
	times := make(map[string]int, len(subjects))
	for _, subject := range subjects {
		if times[subject]++; times[subject] > wire.MaxRepeats && subject != "" {
			return true
		}
	}
	return false
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
// fulfilled. A carrier returns soon after the bound of the request has passed, or the context has ended, and sends
// nothing from then on. There are two carriers: [bus] for NATS, and [process] for the gateway in this process.
type carrier interface {
	carry(context.Context, request) ([]Outcome, error)
}

var _, _ carrier = (*bus)(nil), (*process)(nil)

// A Publisher publishes emits. It is safe for concurrent use.
type Publisher struct {
	// Bound is how long Publish takes at most; New sets it to [Bound]. It must not be changed during a Publish.
	Bound time.Duration

	config    Config
	admission *admission
	bus       *bus
	process   *process // nil without a gateway in this process
}

// New returns a publisher that uses nc, and registers its metrics with reg. Call Start before Publish.
func New(cfg Config, nc *nats.Conn, reg prometheus.Registerer) *Publisher {
	return &Publisher{Bound: Bound, config: cfg, admission: newAdmission(cfg, reg), bus: newBus(nc, reg)}
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

// MayPublish returns [ErrBusy] if an emit of at least so many bytes from this address would be refused now. It spares the
// reading of a large emit.
func (p *Publisher) MayPublish(from netip.Addr, bytes int64) error {
	if !p.admission.mayCarry(from, bytes) {
		return ErrBusy
	}
	return nil
}

// Publish sends an emit to all of its receivers and waits for the receipts that the policy asks for, at most
// [Publisher.Bound]. It returns an outcome for each entry of [Emit.To], in the same order.
//
// An emit that is invalid, or refused with [ErrBusy], is not sent at all, and the outcomes are nil. With any other error
// the outcomes hold what is known: [ErrTooLarge] and [ErrNotSent] report a failed publish, [ErrUnconfirmed] and
// [ErrUnstable] that the policy is not fulfilled. If ctx ends, Publish stops sending and waiting and returns
// [ErrUnconfirmed]; messages already sent are still delivered.
func (p *Publisher) Publish(ctx context.Context, e Emit, policy Policy) ([]Outcome, error) {
	if !p.admission.enter(e.From) {
		return nil, ErrBusy
	}
	var bytes int64 // once carry has let them in
	from := e.From  // e itself in the closure would keep the data, and the body that ids are part of, until the end
	defer func() { p.admission.leave(from, bytes) }()
	subjects, receivers, err := e.subjects()
	if err != nil {
		return nil, err
	}
	// A large emit that is refused is not encoded: that takes more time than all other checks.
	most, least := p.config.MaxEmitBytes, receivers*e.size()
	if most > 0 && least > most {
		return nil, ErrEmitBytes
	}
	if !p.admission.carry(e.From, least) {
		return nil, ErrBusy
	}
	bytes = least
	message := wire.Message{Except: e.Except}
	if message.Payload, err = wire.Encode(e.Event, e.Args...); err != nil {
		return nil, err
	}
	if most > 0 && receivers*int64(len(message.Payload)) > most {
		return nil, ErrEmitBytes
	}
	r := request{subjects: subjects, message: message, policy: policy, bound: p.Bound}
	if p.process != nil && p.process.available(2*p.Bound) {
		return p.process.carry(ctx, r)
	}
	return p.bus.carry(ctx, r)
}
