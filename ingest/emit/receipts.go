package emit

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ramainen/doit-socket/internal/wire"
)

// bound is how long an emit waits for receipts. It is part of the promise: 503 after it.
const bound = time.Second

// receipts publishes requests and collects what the gateways answer, for all
// requests through one subscription. A reply goes to
//
//	<inbox>.<number of the request>.<index of the receiver>
//
// so that the answer "no responders", which NATS itself gives at once where
// nobody is subscribed, tells whom it is about.
type receipts struct {
	nc     *nats.Conn
	prefix string
	bound  time.Duration // [bound], but in tests
	sub    *nats.Subscription

	mu sync.Mutex
	// Guarded by mu.
	next    uint64
	waiting map[uint64]*request
}

// A request waits for the receipts of one emit.
type request struct {
	done chan struct{} // closed when the outcome is known

	// Guarded by receipts.mu.
	reached  bool
	nobody   int    // receivers for whom no node is subscribed
	answered []bool // receivers of whom anything was heard
	left     int    // receivers of whom nothing was heard
	closed   bool
}

func newReceipts(nc *nats.Conn) (*receipts, error) {
	r := &receipts{nc: nc, prefix: nc.NewInbox() + ".", bound: bound, waiting: make(map[uint64]*request)}
	var err error
	r.sub, err = nc.Subscribe(r.prefix+">", r.receive)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (r *receipts) close() { _ = r.sub.Unsubscribe() }

// request publishes the payload to every subject. It returns true at the first
// receipt above zero, false when every receiver was answered for with none,
// and errUnconfirmed when neither came within the bound.
func (r *receipts) request(subjects []string, payload []byte) (reached bool, err error) {
	if len(subjects) == 0 {
		return false, nil
	}
	number, req := r.begin(len(subjects))
	defer r.end(number)
	reply := r.prefix + strconv.FormatUint(number, 36) + "."
	for i, subject := range subjects {
		if err := r.nc.PublishRequest(subject, reply+strconv.Itoa(i), payload); err != nil {
			return false, err
		}
	}
	timer := time.NewTimer(r.bound)
	defer timer.Stop()
	select {
	case <-req.done:
	case <-timer.C:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !req.reached && req.left > 0 {
		return false, errUnconfirmed
	}
	return req.reached, nil
}

func (r *receipts) begin(receivers int) (number uint64, req *request) {
	req = &request{done: make(chan struct{}), answered: make([]bool, receivers), left: receivers}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next++
	r.waiting[r.next] = req
	return r.next, req
}

func (r *receipts) end(number uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waiting, number)
}

// receive takes one answer: a gateway's receipt, or the bus's word that there is no gateway.
func (r *receipts) receive(m *nats.Msg) {
	number, index, _ := strings.Cut(strings.TrimPrefix(m.Subject, r.prefix), ".")
	n, err := strconv.ParseUint(number, 36, 64)
	i, errIndex := strconv.Atoi(index)
	if err != nil || errIndex != nil {
		return
	}
	nobody := len(m.Data) == 0 && m.Header.Get("Status") == "503"
	receipt, err := wire.ParseReceipt(m.Data)
	if err != nil && !nobody {
		return
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	req := r.waiting[n]
	if req == nil || req.closed || i < 0 || i >= len(req.answered) {
		return
	}
	if !req.answered[i] {
		req.answered[i] = true
		req.left--
	}
	if nobody {
		req.nobody++
	}
	req.reached = req.reached || receipt.Sockets > 0
	// A zero does not end the wait: another node may hold the user too.
	if req.reached || req.nobody == len(req.answered) {
		req.closed = true
		close(req.done)
	}
}
