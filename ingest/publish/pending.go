package publish

import "sync"

// rememberedEmits is how many emits are remembered after they ended without being confirmed, so that a receipt that
// comes late is known for one.
const rememberedEmits = 1000

// pendingEmits are the emits that wait for receipts, by number.
type pendingEmits struct {
	mu sync.Mutex
	// Guarded by mu.
	last    uint64 // the highest number that was given
	emits   map[uint64]*pendingEmit
	expired []uint64 // of those in emits, the ones that ended without being confirmed, oldest first
}

// A pendingEmit collects what is heard of the receivers of one emit.
type pendingEmit struct {
	subjects []string // by receiver; "" is nobody's
	policy   Policy

	done chan struct{} // closed once the policy is fulfilled, or nothing more can be learnt
	zero chan struct{} // has one token after a receiver was answered with zero

	// Guarded by pendingEmits.mu.
	receivers []receiver
	silent    int // receivers of whom nothing was heard
	open      int // receivers who may yet be reached
	reached   bool
	expired   bool
}

// A receiver is what was heard of one receiver.
type receiver struct {
	heard    heard
	unstable bool // it was said that nobody is there while gateways may have been missing
	sockets  int
}

type heard uint8

const (
	heardNothing      heard = iota
	heardZero               // a gateway had no socket of the user; another one may
	heardNoResponders       // no gateway holds the user
	heardReceipt            // sockets took the event
)

// An answer is what one message says of a receiver.
type answer struct {
	noResponders bool // NATS has no subscription for the user
	sockets      int  // how many sockets of the answering gateway took the event
	unstable     bool // gateways may have been missing
}

func newPendingEmits() *pendingEmits {
	return &pendingEmits{emits: make(map[uint64]*pendingEmit)}
}

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

// end takes an emit that waits no longer out of the table. It returns what became of its receivers, and failure or
// else an error if the policy is not fulfilled. An emit with an error is remembered for a while.
//
// timedOut says that the emit has waited for its whole bound: a receiver of whom only zeros were heard has nobody then.
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

// zeros lists the receivers of whom nothing but zeros was heard, by index.
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

// A fit says how an answer fits what was asked.
type fit uint8

const (
	fits     fit = iota // it was added, or its emit needs it no more
	fitsLate            // it is a receipt, and its emit has ended without it
	fitsNot             // nobody asked for it
)

// answer adds an answer. One with counted set answers a question for the number of a receiver's sockets.
func (p *pendingEmits) answer(number uint64, receiver int, a answer, counted bool) fit {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.emits[number]
	switch {
	case number > p.last, e != nil && !e.asked(receiver):
		return fitsNot
	case e == nil:
		return fits
	case e.expired:
		if counted || a.noResponders {
			return fits
		}
		return fitsLate
	case counted && !a.noResponders:
		// A gateway holds the user now. Whether the event reached him, a receipt says, and not this.
		return fits
	}
	e.add(receiver, a)
	return fits
}

// givenUp adds an answer to every pending emit to a subject of which nothing was heard.
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

// asked reports whether the emit has a receiver of this index and the index names somebody.
func (e *pendingEmit) asked(receiver int) bool {
	return receiver < len(e.subjects) && e.subjects[receiver] != ""
}

// add adds an answer to what was heard of a receiver. The caller holds pendingEmits.mu.
//
// That there are no responders is final, also if it answers a count that was asked after a zero: gateways that had the
// event and have given up the user since have sent their receipts before that.
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

// closeIfDone closes done once. The caller holds pendingEmits.mu.
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

// satisfied reports whether the first receipt is there and is all that the emit waits for. The caller holds
// pendingEmits.mu.
func (e *pendingEmit) satisfied() bool { return e.reached && e.policy == FirstReceipt }

// outcomes says what is known of each receiver. The error is nil if the policy is fulfilled. The caller holds
// pendingEmits.mu.
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
