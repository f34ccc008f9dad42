//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ramainen/doit-socket/internal/siotest"
)

// A socket is a browser: a websocket that registers its ids, hears events and
// checks their order.
type socket struct {
	fd     int
	server *server
	ids    []string
	step   int    // how far its dialogue with the server is; the dialect counts
	rest   []byte // what came of a frame or of the handshake's answer that is not all there
	sent   int    // events emitted to it
	next   int    // the number of the event that it must hear next
	ledger *ledger
}

// A ledger counts what a set of sockets has heard.
type ledger struct {
	ready     int           // sockets that are registered
	readyAt   time.Duration // when the last was
	heard     int           // events, each once for each socket
	latencies []time.Duration
	keep      bool // whether latencies are kept
	// check is asked in place of a socket's own count whether it may hear an event now.
	check func(k *socket, number int) error
}

// open connects a socket and sends its handshake. It is ready when ledger says so.
func (l *loop) open(s *server, ids []string, ledger *ledger) (*socket, error) {
	k := &socket{server: s, ids: ids, ledger: ledger, step: -1}
	fd, err := l.connect(s.sockets, k)
	if err != nil {
		return nil, err
	}
	k.fd = fd
	return k, l.write(fd, siotest.Handshake(s.sockets.String(), s.target(ids)))
}

func (k *socket) lost(*loop) error {
	return fmt.Errorf("%s has closed the socket of %s", k.server.name, k.ids[0])
}

func (k *socket) read(l *loop, data []byte) error {
	if len(k.rest) > 0 {
		k.rest = append(k.rest, data...)
		data = k.rest
	}
	if k.step < 0 {
		end := bytes.Index(data, []byte("\r\n\r\n"))
		switch {
		case end < 0:
			k.rest = append([]byte(nil), data...)
			return nil
		case !bytes.HasPrefix(data, []byte("HTTP/1.1 101")):
			return fmt.Errorf("%s refuses a socket: %.200s", k.server.name, data)
		}
		data = data[end+4:]
		if err := k.advance(l, nil); err != nil {
			return err
		}
	}
	for {
		opcode, payload, after, ok := frame(data)
		if !ok {
			break
		}
		if err := k.take(l, opcode, payload); err != nil {
			return err
		}
		data = after
	}
	if len(data) == 0 {
		k.rest = nil
	} else {
		k.rest = append([]byte(nil), data...)
	}
	return nil
}

// advance goes a step on in the dialogue that ends with a registered socket.
func (k *socket) advance(l *loop, message []byte) error {
	k.step++
	say, registered, err := k.server.register(k, message)
	if err != nil {
		return fmt.Errorf("%s: step %d of a registration: %w", k.server.name, k.step, err)
	}
	if registered {
		k.step = done
		k.ledger.ready++
		k.ledger.readyAt = l.now()
	}
	if say == "" {
		return nil
	}
	return k.say(l, text, []byte(say))
}

// done is the step of a socket that is registered.
const done = 1000

func (k *socket) take(l *loop, opcode byte, payload []byte) error {
	switch opcode {
	case text:
	case ping:
		return k.say(l, pong, payload)
	default:
		return fmt.Errorf("%s sends a frame with opcode %d to %s: %.100q", k.server.name, opcode, k.ids[0], payload)
	}
	for message := range bytes.SplitSeq(payload, []byte{'\n'}) { // Centrifugo puts several into a frame
		if err := k.message(l, message); err != nil {
			return err
		}
	}
	return nil
}

func (k *socket) message(l *loop, message []byte) error {
	if answer := k.server.heartbeat(message); answer != "" {
		return k.say(l, text, []byte(answer))
	}
	if k.step < done {
		return k.advance(l, message)
	}
	return k.hear(l, message)
}

// hear checks an event: its number must be the next one.
func (k *socket) hear(l *loop, message []byte) error {
	number, sent, err := stamp(message)
	if err != nil {
		return fmt.Errorf("%s: socket of %s hears %.200q: %w", k.server.name, k.ids[0], message, err)
	}
	if k.ledger.check != nil {
		err = k.ledger.check(k, number)
	} else if number != k.next {
		err = fmt.Errorf("not event %d", k.next)
	}
	if err != nil {
		return fmt.Errorf("%s: socket of %s hears event %d: %w", k.server.name, k.ids[0], number, err)
	}
	k.next++
	k.ledger.heard++
	if k.ledger.keep {
		k.ledger.latencies = append(k.ledger.latencies, l.now()-sent)
	}
	return nil
}

// say writes a frame. The mask is zero: masking costs the client nothing, and the server what it always does.
func (k *socket) say(l *loop, opcode byte, payload []byte) error {
	frame := []byte{0x80 | opcode, 0x80}
	if len(payload) < 126 {
		frame[1] |= byte(len(payload))
	} else {
		frame[1] |= 126
		frame = binary.BigEndian.AppendUint16(frame, uint16(len(payload)))
	}
	return l.write(k.fd, append(append(frame, 0, 0, 0, 0), payload...))
}

const (
	text byte = 1
	ping byte = 9
	pong byte = 10
)

// frame takes a server's frame from data, if it is all there.
func frame(data []byte) (opcode byte, payload, after []byte, ok bool) {
	if len(data) < 2 {
		return 0, nil, data, false
	}
	head, length := 2, int(data[1]&0x7f)
	switch length {
	case 126:
		if head = 4; len(data) < head {
			return 0, nil, data, false
		}
		length = int(binary.BigEndian.Uint16(data[2:]))
	case 127:
		if head = 10; len(data) < head {
			return 0, nil, data, false
		}
		length = int(binary.BigEndian.Uint64(data[2:]))
	}
	if len(data) < head+length {
		return 0, nil, data, false
	}
	return data[0] & 0x0f, data[head : head+length], data[head+length:], true
}

// payload is the data of every event: its number for whom it goes to, when it
// was sent, and something for a page to show.
func payload(number int, sent time.Duration) string {
	return `{"n":` + strconv.Itoa(number) + `,"t":` + strconv.FormatInt(int64(sent), 10) + `,"text":"Order 1042 has been paid, thank you","url":"/orders/1042"}`
}

var errStamp = errors.New("no event of ours")

// stamp reads number and time from an event, whatever its wrapping.
func stamp(message []byte) (number int, sent time.Duration, err error) {
	_, data, ok := bytes.Cut(message, []byte(`{"n":`))
	n, data, ok2 := digits(data)
	data, ok3 := bytes.CutPrefix(data, []byte(`,"t":`))
	t, data, ok4 := digits(data)
	if !ok || !ok2 || !ok3 || !ok4 || !bytes.HasPrefix(data, []byte(`,"text":"Order 1042 has been paid, thank you","url":"/orders/1042"}`)) {
		return 0, 0, errStamp
	}
	return n, time.Duration(t), nil
}

func digits(data []byte) (n int, after []byte, ok bool) {
	for len(data) > 0 && '0' <= data[0] && data[0] <= '9' {
		n, data, ok = n*10+int(data[0]-'0'), data[1:], true
	}
	return n, data, ok
}
