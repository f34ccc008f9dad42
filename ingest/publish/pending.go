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
	emits   map[uint64]*pendingEmit // by number; those that wait
	silent  silent                  // the receivers of emits without any answer
	expired map[uint64]int          // the number of receivers of emits that ended unconfirmed; at most rememberedEmits
	oldest  []uint64                // the keys of expired, oldest first
}

// A pendingEmit collects the answers for the receivers of one emit.
type pendingEmit struct {
	policy Policy

	done chan struct{} // closed once the policy is fulfilled, or every receiver has its final answer
	zero chan struct{} // capacity 1: gets a token when a gateway answers zero sockets

	heard chan<- struct{} // gets a token for each receiver that has been answered; nil if nobody wants to know

	// Guarded by pendingEmits.mu.
	receivers []receiver // not grown: others point to its elements
	open      int        // receivers without a final answer
	reached   bool
}

// A receiver holds the answers for one receiver. Its fields are guarded by pendingEmits.mu, and emit and subject do not
// change.
type receiver struct {
	emit    *pendingEmit
	subject string // "" if nothing is sent
	sockets int    // sum of the receipts

	previous, next *receiver // in the list of pendingEmits.silent

	heard    heard
	unstable bool // an answer of zero arrived while gateways may have been missing ([stability])
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
	return &pendingEmits{emits: make(map[uint64]*pendingEmit), expired: make(map[uint64]int)}
}

// begin adds an emit. The caller ends it with end. heard gets a token when a receiver has its first answer, unless it
// is full or nil.
func (p *pendingEmits) begin(subjects []string, policy Policy, heard chan<- struct{}) (number uint64, e *pendingEmit) {
	e = &pendingEmit{
		policy: policy,
		done:   make(chan struct{}), zero: make(chan struct{}, 1), heard: heard,
		receivers: make([]receiver, len(subjects)),
	}
	for i, subject := range subjects {
		e.receivers[i].emit, e.receivers[i].subject = e, subject
		if subject != "" {
			e.open++
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	e.closeIfDone()
	p.last++
	p.emits[p.last] = e
	for i := range e.receivers {
		if e.asked(i) {
			p.silent.add(&e.receivers[i])
		}
	}
	return p.last, e
}

// end ends an emit and returns its outcomes. The error is failure if that is not nil, else nil or, if the policy is not
// fulfilled, ErrUnconfirmed or ErrUnstable. Of an emit with an error only the number of its receivers is remembered.
//
// timedOut says that the emit has waited for its whole bound: a receiver that has only been answered with zeros then
// counts as Nobody.
func (p *pendingEmits) end(number uint64, timedOut bool, failure error) ([]Outcome, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.emits[number]
	delete(p.emits, number)
	for i := range e.receivers {
		if r := &e.receivers[i]; r.heard == heardNothing && e.asked(i) {
			p.silent.remove(r)
		}
	}
	outcomes, err := e.outcomes(timedOut)
	if failure != nil {
		err = failure
	}
	if err == nil {
		return outcomes, nil
	}
	if len(p.oldest) == rememberedEmits {
		delete(p.expired, p.oldest[0])
		p.oldest = p.oldest[1:]
	}
	p.oldest = append(p.oldest, number)
	p.expired[number] = len(e.receivers)
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
		return p.afterwards(number, receiver, counted || a.noResponders)
	case counted && !a.noResponders:
		// A gateway holds the user now. Only a receipt can say that it also received the event.
		return accepted
	}
	p.add(&e.receivers[receiver], a)
	return accepted
}

// afterwards returns the verdict on an answer to an emit that has ended. empty says that the answer is no receipt. The
// caller holds mu.
func (p *pendingEmits) afterwards(number uint64, receiver int, empty bool) verdict {
	receivers, unconfirmed := p.expired[number]
	switch {
	case !unconfirmed:
		return accepted
	case receiver >= receivers:
		return unexpected
	case empty:
		return accepted
	}
	return late
}

// givenUp adds an answer to each receiver with that subject that has no answer yet. It takes time for these only, however
// many others wait.
func (p *pendingEmits) givenUp(subject []byte, a answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for r := p.silent.of(subject); r != nil; {
		next := r.next // add takes r out of the list
		p.add(r, a)
		r = next
	}
}

// asked reports whether the emit has sent a request for the receiver of this index.
func (e *pendingEmit) asked(receiver int) bool {
	return receiver < len(e.receivers) && e.receivers[receiver].subject != ""
}

// add adds an answer to a receiver of an emit that has not ended. The caller holds mu.
//
// "No responders" is final, even as the answer to a count request after a zero: a gateway that received the event and
// has unsubscribed since sent its receipt before it unsubscribed.
func (p *pendingEmits) add(r *receiver, a answer) {
	e := r.emit
	if r.heard == heardNothing {
		p.silent.remove(r)
		r.heard = heardZero
		select {
		case e.heard <- struct{}{}:
		default:
		}
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
		case r.subject == "":
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
