package eio

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/ramainen/doit-socket/internal/budget"
)

// latePoll is how long a browser's last GET may still be on its way after the
// browser has announced on another connection that it stops polling: by a
// websocket probe or a close packet. Node's server handles the two in their
// order of arrival, in its one thread. Here the order is unknown. After a probe
// Node's server waits as long.
const latePoll = 100 * time.Millisecond

// postCopies is how often a part of a POST's body is in memory at most: as it
// was read, and decoded.
const postCopies = 2

// bodyTimeout bounds the time that the body of a request may take.
const bodyTimeout = 30 * time.Second

// piece is how many bytes of an answer the network must take within
// WriteTimeout. So a browser that reads steadily gets an answer of any size. One
// that takes a byte now and then is cut: by default an answer of 2 MiB is in
// memory for 32 times WriteTimeout at most.
const piece = 64 << 10

// A poll is the state that a session's requests share. At most one GET waits, at
// most one is being answered from the queue, and at most one POST is handled. It
// is guarded by Session.mu.
type poll struct {
	waiting   chan []*Frame // receives the answer for the waiting GET; nil if none waits
	answering bool          // an answer is being written: the queue must not be emptied into another one
	posting   bool          // a POST is being handled
	owed      bool          // the browser closed the session, and its last GET is still to be answered
}

// detach ends the wait of the waiting GET, and returns its channel or nil. The
// caller sends one answer, which does not block, or closes the channel if a
// websocket has taken over.
func (p *poll) detach() (waiting chan []*Frame) {
	waiting, p.waiting = p.waiting, nil
	return waiting
}

// polling answers a session's HTTP requests, and is its transport until a
// websocket takes over.
type polling struct{ *Session }

// moved reports whether a websocket has taken over. The caller holds mu.
func (p polling) moved() bool { return p.websocket.Load() != nil }

// serveGet answers a GET with what is queued, or waits until something is and
// the last answer has been written. A second GET that waits ends the session, as
// the protocol demands.
func (p polling) serveGet(w http.ResponseWriter, r *http.Request) {
	p.beatIfDue()
	p.mu.Lock()
	switch {
	case p.state == closed:
		owed := p.poll.owed
		p.poll.owed = false
		p.mu.Unlock()
		if owed {
			p.answer(w, []*Frame{frameNoop})
		} else {
			refuse(w, errSession)
		}
		return
	case p.moved():
		p.mu.Unlock()
		refuse(w, errBadRequest)
		return
	case p.poll.waiting != nil:
		p.mu.Unlock()
		p.Close(ReasonProtocol)
		refuse(w, errBadRequest)
		return
	case len(p.outbound.frames) > 0 && !p.poll.answering:
		frames := p.takePoll()
		p.mu.Unlock()
		p.answer(w, frames)
		return
	}
	waiting := make(chan []*Frame, 1) // room for the one answer: its sender never blocks
	p.poll.waiting = waiting
	if p.upgrade.stage == probed {
		p.releasePoll()
	}
	p.mu.Unlock()

	select {
	case frames, ok := <-waiting:
		if ok {
			p.answer(w, frames)
		} else {
			refuse(w, errBadRequest) // a websocket has taken over
		}
	case <-r.Context().Done():
		p.Close(ReasonNetwork)
	}
}

// answer writes the answer to a GET. The handler of the GET calls it, and nobody
// else.
func (p polling) answer(w http.ResponseWriter, frames []*Frame) {
	defer p.hold(frames)()
	contentType, size, parts := p.codec.payload(frames)
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(size))
	control := http.NewResponseController(w)
	var cut atomic.Bool
	if size >= budget.LeastCut {
		defer p.list(size, control.SetWriteDeadline, &cut)()
	}
	extend := func() { _ = control.SetWriteDeadline(time.Now().Add(p.server.WriteTimeout)) }
	left := 0 // bytes that may be written before the deadline is extended
	write := func(b []byte) error {
		for len(b) > 0 {
			if left == 0 {
				extend()
				if cut.Load() || p.cutForMemory() {
					return errGone
				}
				left = piece
			}
			n, err := w.Write(b[:min(len(b), left)])
			if err != nil {
				return err
			}
			b, left = b[n:], left-n
		}
		return nil
	}
	var err error
	for part := range parts {
		if err = write(part); err != nil {
			break
		}
	}
	if err == nil {
		extend() // net/http has some of the last piece in a buffer
		err = control.Flush()
	}
	// The connection serves other requests after this one.
	_ = control.SetWriteDeadline(time.Time{})
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		p.Close(ReasonSlow)
	case err != nil:
		p.Close(ReasonNetwork)
	}
	p.answered(size > piece)
	p.Flush() // answers the GET that waits by now, or closes the session if it is finishing
}

// hold makes the budget count the frames of an answer while it is written.
func (p polling) hold(frames []*Frame) (release func()) {
	b := p.server.Budget
	for _, f := range frames {
		f.hold(b)
	}
	b.Add(len(frames) * slotBytes)
	return func() {
		for _, f := range frames {
			f.release(b)
		}
		b.Return(len(frames) * slotBytes)
	}
}

// cutForMemory reports whether the session was closed because memory is full: the
// rest of its answer is then not written.
func (p polling) cutForMemory() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state == closed && p.reason == ReasonMemory
}

// answered ends the time in which the queue is not emptied into another answer.
// The heartbeat begins anew after a large one, which may have taken most of its
// time.
func (p polling) answered(large bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.poll.answering = false
	if large && p.state != closed {
		p.expectSign()
	}
}

// servePost handles the packets of a POST in their order. A second POST at the
// same time ends the session.
func (p polling) servePost(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	if p.state == closed {
		p.mu.Unlock()
		refuse(w, errSession)
		return
	}
	mismatch, overlap := p.moved(), p.poll.posting
	p.poll.posting = !mismatch
	p.mu.Unlock()
	if mismatch || overlap {
		if overlap {
			p.Close(ReasonProtocol)
		}
		refuse(w, errBadRequest)
		return
	}

	held := budget.Account{Budget: p.server.Budget}
	defer held.Close()
	cut := func() { _ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0)) }
	body, err := budget.ReadAll(http.MaxBytesReader(w, r.Body, p.server.MaxPayload), &held, postCopies, cut)
	if err != nil {
		p.refuseBody(w, err)
		return
	}
	legal := p.codec.decodePayload(body, r.Header.Get("Content-Type"), p.receive)

	p.mu.Lock()
	p.poll.posting = false
	faulty := p.state == closed && (p.reason == ReasonProtocol || p.reason == ReasonFrames)
	p.mu.Unlock()
	if !legal || faulty {
		p.Close(ReasonProtocol)
		refuse(w, errBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/html") // as Node's server: old Internet Explorer needs it
	_, _ = io.WriteString(w, "ok")
}

// refuseBody closes the session because the body of a POST could not be read,
// and answers it.
func (p polling) refuseBody(w http.ResponseWriter, err error) {
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		p.Close(ReasonTooLarge)
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	case errors.Is(err, budget.ErrFull):
		p.Close(ReasonMemory)
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		p.Close(ReasonNetwork)
		refuse(w, errBadRequest)
	}
}

// flush implements transport: it answers the waiting GET with what is queued.
func (p polling) flush() (open bool) {
	p.mu.Lock()
	if p.moved() {
		p.mu.Unlock()
		return p.Flush()
	}
	if len(p.outbound.frames) > 0 && p.poll.waiting != nil && !p.poll.answering {
		p.poll.detach() <- p.takePoll()
	}
	var end Reason
	switch {
	case p.state == finishing && len(p.outbound.frames) == 0:
		end = p.reason
	case p.state != closed && p.outbound.over(&p.server.Config):
		end = ReasonSlow
	case p.state != closed:
		p.outbound.charge(p.server.Budget, false)
	}
	over := p.state == closed
	p.mu.Unlock()
	if end != "" {
		p.Close(end)
		return false
	}
	return !over
}

// unwritten implements transport: what has left the queue is in an answer.
func (p polling) unwritten() int { return 0 }

// end implements transport: the answer to the waiting GET tells the browser. If
// the browser itself closed the session and no GET waits, its last one may
// still be on its way.
func (p polling) end(reason Reason) (tell func()) {
	waiting, last := p.poll.detach(), frameClose
	if reason == ReasonClient {
		last = frameNoop
	}
	if reason == ReasonClient && waiting == nil {
		p.answerLatePoll()
		return func() {}
	}
	return func() {
		p.server.release(p.Session)
		if waiting != nil {
			waiting <- []*Frame{last}
		}
	}
}

// takePoll empties the queue and returns the frames for the answer to a GET,
// which is answered with them by answer. The caller holds mu.
func (p polling) takePoll() []*Frame {
	p.poll.answering = true
	frames := p.outbound.takeAll(p.server.Budget)
	if p.state == finishing {
		frames = append(frames, frameClose)
	}
	return frames
}

// answerLatePoll keeps a session that its browser has closed for the time of
// latePoll, so that the browser's last GET gets an answer. The caller holds mu.
func (p polling) answerLatePoll() {
	p.poll.owed = true
	p.server.running.Add(1)
	time.AfterFunc(latePoll, func() {
		defer p.server.running.Done()
		p.server.release(p.Session)
	})
}

// releasePoll makes the waiting GET, if there is one, be answered with a noop
// after latePoll, unless it has been answered by then. The browser can then stop
// polling. The caller holds mu.
func (p polling) releasePoll() {
	waiting := p.poll.waiting
	if waiting == nil {
		return
	}
	time.AfterFunc(latePoll, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.poll.waiting == waiting && !p.poll.answering {
			p.poll.answering = true
			p.poll.detach() <- []*Frame{frameNoop}
		}
	})
}
