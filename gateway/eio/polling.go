package eio

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"
)

// latePoll is how long a poll may be on its way while the browser says on
// another connection that it is the last one: with a websocket's probe, or with
// the packet close. Node's server has one thread and keeps the order in which
// the two came; we cannot know it. Its pause after a probe is the same.
const latePoll = 100 * time.Millisecond

// bodyTimeout bounds the time that the body of a request may take.
const bodyTimeout = 30 * time.Second

// A poll is what a session's requests share: at most one GET waits, and at
// most one POST is handled. It is guarded by Session.mu.
type poll struct {
	waiting chan []*Frame // takes the answer of the GET that waits; nil if none does
	posting bool          // a POST is being handled
	owed    bool          // though the session is closed, the browser's last GET is answered
}

// end ends the wait of a GET. The caller answers it by one send, which does
// not block, or by close: a websocket has taken over.
func (p *poll) end() (waiting chan []*Frame) {
	waiting, p.waiting = p.waiting, nil
	return waiting
}

// polling is a session as its requests see it.
type polling struct{ *Session }

// serveGet answers a GET with what is queued, or waits until something is.
// One GET at a time: a second one ends the session, as the protocol has it.
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
	case p.socket != nil:
		p.mu.Unlock()
		refuse(w, errBadRequest)
		return
	case p.poll.waiting != nil:
		p.mu.Unlock()
		p.Close(ReasonProtocol)
		refuse(w, errBadRequest)
		return
	case len(p.outbound.frames) > 0:
		frames := p.takePoll()
		p.mu.Unlock()
		p.answer(w, frames)
		p.Flush() // closes, if it was to finish
		return
	}
	waiting := make(chan []*Frame, 1) // one answer, and nobody waits to give it
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

// answer writes the answer of a GET.
func (p polling) answer(w http.ResponseWriter, frames []*Frame) {
	body, contentType := p.codec.encodePayload(frames)
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Now().Add(p.server.WriteTimeout))
	_, err := w.Write(body)
	if err == nil {
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
}

// servePost takes the packets of a POST, in their order, one POST at a time.
func (p polling) servePost(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	if p.state == closed {
		p.mu.Unlock()
		refuse(w, errSession)
		return
	}
	mismatch, overlap := p.socket != nil, p.poll.posting
	p.poll.posting = !mismatch
	p.mu.Unlock()
	if mismatch || overlap {
		if overlap {
			p.Close(ReasonProtocol)
		}
		refuse(w, errBadRequest)
		return
	}

	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, p.server.MaxPayload))
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			p.Close(ReasonTooLarge)
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		} else {
			p.Close(ReasonNetwork)
			refuse(w, errBadRequest)
		}
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
	w.Header().Set("Content-Type", "text/html") // not text/plain, for old Internet Explorer; as Node's server has it
	_, _ = io.WriteString(w, "ok")
}

// flushPoll hands what is queued to the GET that waits, and returns why the
// session has to close then, "" if it need not. The caller holds mu.
func (p polling) flushPoll() (end Reason) {
	if len(p.outbound.frames) > 0 && p.poll.waiting != nil {
		p.poll.end() <- p.takePoll()
	}
	switch {
	case p.state == finishes && len(p.outbound.frames) == 0:
		return p.reason
	case p.state != closed && p.outbound.over(&p.server.Config):
		return ReasonSlow
	}
	return ""
}

// takePoll empties the queue into the answer of a GET. The caller holds mu.
func (p polling) takePoll() []*Frame {
	frames := p.outbound.takeAll()
	if p.state == finishes {
		frames = append(frames, frameClose)
	}
	return frames
}

// answerLatePoll keeps the session known for a moment after the browser has
// closed it, for a GET of its that was on its way. The caller holds mu.
func (p polling) answerLatePoll() {
	p.poll.owed = true
	p.server.running.Add(1)
	time.AfterFunc(latePoll, func() {
		defer p.server.running.Done()
		p.server.forget(p.Session)
	})
}

// releasePoll answers the GET that waits, if one does, with a noop, if nothing
// else has when it can no longer be a late one. The caller holds mu.
func (p polling) releasePoll() {
	waiting := p.poll.waiting
	if waiting == nil {
		return
	}
	time.AfterFunc(latePoll, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.poll.waiting == waiting {
			p.poll.end() <- []*Frame{frameNoop}
		}
	})
}
