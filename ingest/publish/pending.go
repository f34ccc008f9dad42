package publish

import "sync"

// rememberedEmits is how many unconfirmed emits are kept after their end, so that a late receipt is counted as late and
// not as malformed.
const rememberedEmits = 1000

// pendingEmits holds the emits that wait for receipts.
type pendingEmits struct {
	mu sync.Mutex
	// Guarded by mu.
	last    uint64                  // the number of the newest emit
	emits   map[uint64]*pendingEmit // by number; those that wait, and the expired ones
	expired []uint64                // the numbers of emits that ended unconfirmed, oldest first, at most rememberedEmits
}

// A pendingEmit collects the answers for the receivers of one emit.
type pendingEmit struct {
	subjects []string // by receiver; "" is skipped
	policy   Policy

	done chan struct{} // closed once the policy is fulfilled, or every receiver has its final answer
	zero chan struct{} // capacity 1: gets a token when a gateway answers zero sockets

	// Guarded by pendingEmits.mu.
	receivers []receiver
	silent    int // receivers without any answer
	open      int // receivers without a final answer
	reached   bool
	expired   bool
}

// A receiver holds the answers for one receiver.
type receiver struct {
	heard    heard
	unstable bool // an answer of zero arrived while gateways may have been missing ([stability])
	sockets  int  // sum of the receipts
}

// heard is the strongest answer for a receiver so far; later constants are stronger.
type heard uint8

const (
	heardNothing      heard = iota
	heardZero               // a gateway has no socket of the user; another one may have
	heardNoResponders       // no gateway is subscribed to the user; final
	heardReceipt            // sockets took the event; final
)

// An answer is the content of one message about a receiver.
type answer struct {
	noResponders bool // NATS has no subscription to the user's subject
	sockets      int  // how many sockets of the answering gateway took the event
	unstable     bool // sockets is zero, and gateways may have been missing ([stability])
}

func newPendingEmits() *pendingEmits {
	return &pendingEmits{emits: make(map[uint64]*pendingEmit)}
}

// begin adds an emit. The caller ends it with end.
func (p *pendingEmits) begin(subjects []string, policy Policy) (number uint64, e *pendingEmit) {
	e = &pendingEmit{
		subjects: subjects, policy: policy,
		done: make(chan struct{}), zero: make(chan struct{}, 1),
		receivers: make([]receiver, len(subjects)),
	}
	for _, subject := range subjects {
		if subject != "" {
			e.silent++
		}
	}
	e.open = e.silent
	p.mu.Lock()
	defer p.mu.Unlock()
	e.closeIfDone()
	p.last++
	p.emits[p.last] = e
	return p.last, e
}

// end ends an emit and returns its outcomes. The error is failure if that is not nil, else nil or, if the policy is not
// fulfilled, ErrUnconfirmed or ErrUnstable. An emit with an error stays in emits as expired.
//
// timedOut says that the emit has waited for its whole bound: a receiver that has only been answered with zeros then
// counts as Nobody.
func (p *pendingEmits) end(number uint64, timedOut bool, failure error) ([]Outcome, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.emits[number]
	outcomes, err := e.outcomes(timedOut)
	if failure != nil {
		err = failure
	}
	if err == nil {
		delete(p.emits, number)
		return outcomes, nil
	}
	e.expired = true
	if len(p.expired) == rememberedEmits {
		delete(p.emits, p.expired[0])
		p.expired = p.expired[1:]
	}
	p.expired = append(p.expired, number)
	return outcomes, err
}

// zeros returns the indices of the receivers that have only been answered with zeros.
func (p *pendingEmits) zeros(e *pendingEmit) (receivers []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, r := range e.receivers {
		if r.heard == heardZero {
			receivers = append(receivers, i)
		}
	}
	return receivers
}

// A verdict says whether an answer belongs to an emit.
type verdict uint8

const (
	accepted   verdict = iota // added, or not needed any more
	late                      // a receipt for an emit that has ended unconfirmed
	unexpected                // an answer to no request of this publisher
)

// answer adds an answer to the emit of that number. counted says that it answers a count request.
func (p *pendingEmits) answer(number uint64, receiver int, a answer, counted bool) verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.emits[number]
	switch {
	case number > p.last, e != nil && !e.asked(receiver):
		return unexpected
	case e == nil:
		return accepted
	case e.expired:
		if counted || a.noResponders {
			return accepted
		}
		return late
	case counted && !a.noResponders:
		// A gateway holds the user now. Only a receipt can say that it also received the event.
		return accepted
	}
	e.add(receiver, a)
	return accepted
}

// givenUp adds an answer to each pending emit for each receiver with that subject that has no answer yet.
func (p *pendingEmits) givenUp(subject []byte, a answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.emits {
		if e.expired || e.silent == 0 {
			continue
		}
		for i := range e.receivers {
			if e.receivers[i].heard == heardNothing && e.subjects[i] == string(subject) && e.asked(i) {
				e.add(i, a)
			}
		}
	}
}

// asked reports whether the emit has sent a request for the receiver of this index.
func (e *pendingEmit) asked(receiver int) bool {
	return receiver < len(e.subjects) && e.subjects[receiver] != ""
}

// add adds an answer to the i-th receiver. The caller holds pendingEmits.mu.
//
// "No responders" is final, even as the answer to a count request after a zero: a gateway that received the event and
// has unsubscribed since sent its receipt before it unsubscribed.
func (e *pendingEmit) add(i int, a answer) {
	r := &e.receivers[i]
	if r.heard == heardNothing {
		e.silent--
		r.heard = heardZero
	}
	r.unstable = r.unstable || a.unstable
	switch {
	case a.sockets > 0:
		if r.heard == heardZero {
			e.open--
		}
		r.heard = heardReceipt
		r.sockets += a.sockets
		e.reached = true
	case a.noResponders && r.heard == heardZero:
		r.heard = heardNoResponders
		e.open--
	case !a.noResponders:
		select {
		case e.zero <- struct{}{}:
		default:
		}
	}
	e.closeIfDone()
}

// closeIfDone closes done, once, if the emit need not wait any longer. The caller holds pendingEmits.mu.
func (e *pendingEmit) closeIfDone() {
	if e.open > 0 && !e.satisfied() {
		return
	}
	select {
	case <-e.done:
	default:
		close(e.done)
	}
}

// satisfied reports whether a receipt has arrived and the policy asks for no more. The caller holds pendingEmits.mu.
func (e *pendingEmit) satisfied() bool { return e.reached && e.policy == FirstReceipt }

// outcomes returns an outcome for each receiver. The error is nil if the policy is fulfilled; for timedOut see end. The
// caller holds pendingEmits.mu.
func (e *pendingEmit) outcomes(timedOut bool) (outcomes []Outcome, err error) {
	outcomes = make([]Outcome, len(e.receivers))
	for i, r := range e.receivers {
		switch {
		case r.heard == heardReceipt:
			outcomes[i] = Outcome{State: Reached, Sockets: r.sockets}
		case e.subjects[i] == "":
			outcomes[i].State = Nobody
		case r.heard == heardNothing, r.heard == heardZero && !timedOut:
			err = ErrUnconfirmed
		case r.unstable:
			if err == nil {
				err = ErrUnstable
			}
		default:
			outcomes[i].State = Nobody
		}
	}
	if e.satisfied() {
		err = nil
	}
	return outcomes, err
}
