//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// A sender is a page that emits, on one kept connection, an emit at a time.
type sender struct {
	fd      int
	server  *server
	request []byte
	rest    []byte
	wants   answer // to the emit in flight
	busy    bool
	// answered is called when the emit in flight is answered as it must be.
	answered func(*sender) error
}

// An answer is what a server says of an emit.
type answer int

const (
	taken   answer = iota // somebody was connected
	nobody                // nobody was
	unsaid                // the server does not say
	refused               // anything else
)

func (a answer) String() string { return [...]string{"taken", "nobody", "unsaid", "refused"}[a] }

func (l *loop) newSender(s *server, answered func(*sender) error) (*sender, error) {
	k := &sender{server: s, answered: answered}
	fd, err := l.connect(s.emits, k)
	k.fd = fd
	return k, err
}

// emit posts an event.
func (k *sender) emit(l *loop, ids []string, data string, wants answer) error {
	k.request = k.server.post(k.request[:0], ids, data)
	k.wants, k.busy = wants, true
	return l.write(k.fd, k.request)
}

func (k *sender) lost(*loop) error {
	return fmt.Errorf("%s has closed a connection for emits", k.server.name)
}

func (k *sender) read(_ *loop, data []byte) error {
	if len(k.rest) > 0 {
		k.rest = append(k.rest, data...)
		data = k.rest
	}
	status, body, err := response(data)
	switch {
	case errors.Is(err, errMore):
		k.rest = append([]byte(nil), data...)
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w: %.300q", k.server.name, err, data)
	}
	k.rest, k.busy = nil, false
	got := k.server.answer(status, body)
	if got != k.wants && got != unsaid {
		return fmt.Errorf("%s answers an emit %d %.100q: %s, and it is %s", k.server.name, status, body, got, k.wants)
	}
	return k.answered(k)
}

var (
	errMore    = errors.New("the answer is not all there")
	errUnknown = errors.New("an answer of a kind that the load client does not read")
)

// response reads an HTTP response with a Content-Length.
func response(data []byte) (status int, body []byte, err error) {
	head, body, ok := bytes.Cut(data, []byte("\r\n\r\n"))
	if !ok {
		return 0, nil, errMore
	}
	if len(head) < 12 {
		return 0, nil, errUnknown
	}
	status, err = strconv.Atoi(string(head[9:12]))
	if err != nil {
		return 0, nil, errUnknown
	}
	length := 0
	if _, after, ok := bytes.Cut(head, []byte("ontent-Length: ")); ok {
		length, _, ok = digits(after)
		if !ok {
			return 0, nil, errUnknown
		}
	} else if status != 204 {
		return 0, nil, errUnknown
	}
	switch {
	case len(body) < length:
		return 0, nil, errMore
	case len(body) > length:
		return 0, nil, errUnknown
	}
	return status, body, nil
}
