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

// openPolling begins a session on polling and answers with all that it has to say.
func (srv *Server) openPolling(w http.ResponseWriter, r *http.Request, s *Session) {
	if !srv.open(s) {
		srv.turnAway(w, RefusedDraining)
		return
	}
	s.servePoll(w, r)
}

// servePoll answers a GET with what is queued, or waits until something is.
// One poll at a time: a second one ends the session, as the protocol has it.
func (s *Session) servePoll(w http.ResponseWriter, r *http.Request) {
	s.beatIfDue()
	s.mu.Lock()
	switch {
	case s.closed:
		owed := s.owed
		s.owed = false
		s.mu.Unlock()
		if owed {
			s.answerPoll(w, []*Frame{frameNoop})
		} else {
			refuse(w, errSession)
		}
		return
	case s.socket != nil:
		s.mu.Unlock()
		refuse(w, errBadRequest)
		return
	case s.poll != nil:
		s.mu.Unlock()
		s.Close(ReasonProtocol)
		refuse(w, errBadRequest)
		return
	}
	if len(s.queue) > 0 {
		frames := s.takePoll()
		s.mu.Unlock()
		s.answerPoll(w, frames)
		s.Flush() // closes, if it was to finish
		return
	}
	poll := make(chan []*Frame, 1) // one answer, and nobody waits to give it
	s.poll = poll
	if s.probed {
		s.releasePoll()
	}
	s.mu.Unlock()

	select {
	case frames, ok := <-poll:
		if ok {
			s.answerPoll(w, frames)
		} else {
			refuse(w, errBadRequest) // a websocket has taken over
		}
	case <-r.Context().Done():
		s.Close(ReasonNetwork)
	}
}

func (s *Session) answerPoll(w http.ResponseWriter, frames []*Frame) {
	body, contentType := s.encodePayload(frames)
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Now().Add(s.server.WriteTimeout))
	_, err := w.Write(body)
	if err == nil {
		err = control.Flush()
	}
	// The connection serves other requests after this one.
	_ = control.SetWriteDeadline(time.Time{})
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.Close(ReasonSlow)
	case err != nil:
		s.Close(ReasonNetwork)
	}
}

// servePost takes the packets of a POST, in their order, one POST at a time.
func (s *Session) servePost(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		refuse(w, errSession)
		return
	}
	mismatch, overlap := s.socket != nil, s.posting
	s.posting = !mismatch
	s.mu.Unlock()
	if mismatch || overlap {
		if overlap {
			s.Close(ReasonProtocol)
		}
		refuse(w, errBadRequest)
		return
	}

	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.server.MaxPayload))
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			s.Close(ReasonTooLarge)
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		} else {
			s.Close(ReasonNetwork)
			refuse(w, errBadRequest)
		}
		return
	}
	legal := s.decodePayload(body, r.Header.Get("Content-Type"), s.turn)

	s.mu.Lock()
	s.posting = false
	faulty := s.closed && (s.reason == ReasonProtocol || s.reason == ReasonFrames)
	s.mu.Unlock()
	if !legal || faulty {
		s.Close(ReasonProtocol)
		refuse(w, errBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/html") // not text/plain, for old Internet Explorer; as Node's server has it
	_, _ = io.WriteString(w, "ok")
}
