package emit

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ramainen/doit-socket/internal/wire"
)

const (
	// bound is how long an emit waits for receipts. It is part of the promise: 503 after it.
	bound = time.Second
	// recount is how long after a zero the bus is asked whether anyone still
	// holds the user, and again after that. Receipts that were on their way
	// with the zero come first.
	recount = 50 * time.Millisecond
	// rememberLate is how many emits without an outcome are remembered, to know their receipts when they come.
	rememberLate = 1000
)

// receipts publishes requests and collects what the gateways answer, for all
// requests through one subscription. A reply goes to
//
//	<inbox>.<number of the request>.<index of the receiver>
//
// so that the answer "no responders", which NATS itself gives at once where
// nobody is subscribed, tells whom it is about; or, where it was only asked
// who holds the user, to the same with .count behind it.
type receipts struct {
	nc      *nats.Conn
	prefix  string
	bound   time.Duration // [bound], but in tests
	recount time.Duration // [recount], but in tests
	sub     *nats.Subscription
	leaving *nats.Subscription
	bus     *settler
	metrics *metrics

	publish chan publication // to the one publisher
	closing context.Context  // done when stop is called
	stop    context.CancelFunc
	running sync.WaitGroup // the publisher, and who watches the bus

	mu sync.Mutex
	// Guarded by mu.
	next    uint64
	waiting map[uint64]*request
	late    []uint64 // of those in waiting, the ones whose time is over
}

// A request waits for the receipts of one emit.
type request struct {
	subjects []string // of the receivers

	done  chan struct{} // closed when the outcome is known
	zeros chan struct{} // one token: a receiver has been answered with zero

	// Guarded by receipts.mu.
	reached   bool
	receivers []knowledge
	silent    int  // receivers of whom nothing was heard
	open      int  // receivers who are not known to be nobody's
	unsettled bool // of some it was said that nobody is there when gateways may have been missing
	late      bool // answered without an outcome
}

// A publication is a message to be published, and who hears why it could not be.
type publication struct {
	message *nats.Msg
	failed  chan<- error
}

// knowledge is what is known of a receiver whom no socket's receipt was for.
type knowledge uint8

const (
	silent knowledge = iota
	zero             // a gateway had no socket for it: another may
	nobody           // no gateway holds it
)

// countSuffix is at the end of a reply subject where sockets are only counted.
const countSuffix = ".count"

func newReceipts(nc *nats.Conn, m *metrics) (*receipts, error) {
	r := &receipts{
		nc: nc, prefix: nc.NewInbox() + ".", bound: bound, recount: recount, bus: newSettler(nc), metrics: m,
		publish: make(chan publication), waiting: make(map[uint64]*request),
	}
	r.closing, r.stop = context.WithCancel(context.Background())
	var err error
	r.sub, err = nc.Subscribe(r.prefix+">", r.receive)
	if err != nil {
		return nil, err
	}
	if r.leaving, err = nc.Subscribe(wire.SubjectLeft, r.left); err != nil {
		return nil, err
	}
	r.running.Go(r.runPublish)
	r.running.Go(func() { r.bus.run(r.closing.Done()) })
	return r, nil
}

func (r *receipts) close() {
	_ = r.sub.Unsubscribe()
	_ = r.leaving.Unsubscribe()
	r.stop()
	r.running.Wait()
}

// runPublish publishes for all requests, one message of each in turn. nats.go
// holds its one lock while it tries to connect, for seconds where the server's
// machine is gone: only this goroutine waits for it, and what is late then is
// not sent behind the next emit.
func (r *receipts) runPublish() {
	for {
		select {
		case p := <-r.publish:
			if err := r.nc.PublishMsg(p.message); err != nil {
				select {
				case p.failed <- err:
				default: // it is the second
				}
			}
		case <-r.closing.Done():
			return
		}
	}
}

// request publishes the payload to every subject. It returns true at the first
// receipt above zero, false when there is nobody for any receiver, and else,
// after the bound, false if every receiver was answered for, and
// errUnconfirmed if not. Where it would be false it is errUnsettled while
// gateways may be missing from the bus.
func (r *receipts) request(subjects []string, payload []byte) (reached bool, err error) {
	if len(subjects) == 0 {
		return false, nil
	}
	bound := time.NewTimer(r.bound)
	defer bound.Stop()
	number, req := r.begin(subjects)
	defer func() { r.end(number, err == nil) }()
	reply := r.prefix + strconv.FormatUint(number, 36) + "."
	pending := make([]*nats.Msg, len(subjects))
	for i, subject := range subjects {
		pending[i] = &nats.Msg{Subject: subject, Reply: reply + strconv.Itoa(i), Data: payload}
	}
	failed := make(chan error, 1)
	var again <-chan time.Time
	for {
		done, publish, next := req.done, r.publish, publication{failed: failed}
		if len(pending) > 0 {
			done, next.message = nil, pending[0] // every receiver is served
		} else {
			publish = nil
		}
		select {
		case publish <- next:
			pending = pending[1:]
		case err := <-failed:
			return false, err
		case <-done:
			return r.outcome(req)
		case <-bound.C:
			return r.outcome(req)
		case <-req.zeros:
			if again == nil {
				again = time.After(r.recount)
			}
		case <-again:
			again = time.After(r.recount)
			if len(pending) > 0 {
				break
			}
			for _, i := range r.zeros(req) {
				pending = append(pending, &nats.Msg{
					Subject: subjects[i], Reply: reply + strconv.Itoa(i) + countSuffix,
					Header: nats.Header{wire.HeaderOp: {wire.OpCount}},
				})
			}
		}
	}
}

func (r *receipts) outcome(req *request) (reached bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case req.reached:
		return true, nil
	case req.silent > 0:
		return false, errUnconfirmed
	case req.unsettled:
		return false, errUnsettled
	}
	return false, nil
}

// zeros lists the receivers that are answered for with zeros only.
func (r *receipts) zeros(req *request) (indexes []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, known := range req.receivers {
		if known == zero {
			indexes = append(indexes, i)
		}
	}
	return indexes
}

func (r *receipts) begin(subjects []string) (number uint64, req *request) {
	req = &request{
		subjects: subjects, done: make(chan struct{}), zeros: make(chan struct{}, 1),
		receivers: make([]knowledge, len(subjects)), silent: len(subjects), open: len(subjects),
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next++
	r.waiting[r.next] = req
	return r.next, req
}

// end forgets a request, or remembers it for its late receipts if it had no outcome.
func (r *receipts) end(number uint64, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known {
		delete(r.waiting, number)
		return
	}
	r.waiting[number].late = true
	if len(r.late) == rememberLate {
		delete(r.waiting, r.late[0])
		r.late = r.late[1:]
	}
	r.late = append(r.late, number)
}

// receive takes one answer: a gateway's receipt, or the bus's word that there is no gateway.
func (r *receipts) receive(m *nats.Msg) {
	tail, counted := strings.CutSuffix(strings.TrimPrefix(m.Subject, r.prefix), countSuffix)
	number, index, _ := strings.Cut(tail, ".")
	n, err := strconv.ParseUint(number, 36, 64)
	i, errIndex := strconv.ParseUint(index, 10, 16)
	noResponders := len(m.Data) == 0 && m.Header.Get("Status") == "503"
	receipt, errReceipt := wire.ParseReceipt(m.Data)
	malformed := err != nil || errIndex != nil || errReceipt != nil && !noResponders
	unsettled := receipt.Sockets == 0 && !r.bus.settled()

	r.mu.Lock()
	defer r.mu.Unlock()
	req := r.waiting[n]
	switch {
	case malformed, n > r.next, req != nil && int(i) >= len(req.receivers):
		r.metrics.malformed.Inc()
	case req == nil:
		// Its emit was answered by an earlier one.
	case req.late:
		if !counted && !noResponders {
			r.metrics.late.Inc()
		}
	case counted && !noResponders:
		// Somebody holds the user now. Whether the event reached him, a receipt says, not this.
	default:
		req.unsettled = req.unsettled || unsettled
		req.learn(int(i), noResponders, receipt.Sockets)
	}
}

// left hears that a gateway has given up a user. That is as good as a zero from
// it for the emits of whom nothing was heard: it has sent the receipts of those
// that reached it, and the others, which were on their way to it, nobody has.
// NATS keeps the order, so no emit can meet that fate after this was heard.
func (r *receipts) left(m *nats.Msg) {
	unsettled := !r.bus.settled()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, req := range r.waiting {
		if req.late || req.silent == 0 {
			continue
		}
		for i, known := range req.receivers {
			if known == silent && req.subjects[i] == string(m.Data) {
				req.unsettled = req.unsettled || unsettled
				req.learn(i, false, 0)
			}
		}
	}
}

// learn adds what one answer tells of a receiver. The caller holds receipts.mu.
//
// That there are no responders is final, also if the answer is to a count that
// was asked after a zero: gateways that had the event and have given up the
// user since have sent their receipts before that.
func (req *request) learn(i int, noResponders bool, sockets int) {
	known := &req.receivers[i]
	if *known == silent {
		req.silent--
		*known = zero
	}
	switch {
	case noResponders && *known == zero:
		*known = nobody
		req.open--
	case sockets > 0:
		req.reached = true
	case !noResponders:
		select {
		case req.zeros <- struct{}{}:
		default:
		}
	}
	if req.reached || req.open == 0 {
		select {
		case <-req.done:
		default:
			close(req.done)
		}
	}
}
