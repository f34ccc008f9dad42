package siotest

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode/utf16"
)

// Post is the request that posts a body.
func (c *Conn) Post(contentType string, body []byte) []byte {
	head := c.Request(http.MethodPost, fmt.Sprintf("Content-Type: %s\r\nContent-Length: %d\r\n", contentType, len(body)))
	return append(head, body...)
}

// PostPacket is the request that posts a packet.
func (c *Conn) PostPacket(packet string) []byte {
	return c.Post("text/plain;charset=UTF-8", []byte(Payload(c.EIO, packet)))
}

// poll asks for packets and waits for them.
func (c *Conn) poll(deadline time.Time) error {
	c.asking.Lock()
	defer c.asking.Unlock()
	if err := c.Write(c.Request(http.MethodGet, "")); err != nil {
		return err
	}
	return c.readPoll(deadline)
}

// readPoll reads the answer to a poll.
func (c *Conn) readPoll(deadline time.Time) error {
	contentType, body, err := c.ReadAnswer(deadline)
	if err != nil {
		return err
	}
	packets, ok := Packets(c.EIO, strings.HasPrefix(contentType, "text/"), body)
	if !ok {
		return fmt.Errorf("payload %.80q", body)
	}
	c.got = append(c.got, packets...)
	return nil
}

// A second is the connection for what is sent while a poll waits on the first.
type second struct {
	asking sync.Mutex // held during a request; taken before mu

	mu     sync.Mutex
	raw    *Raw // nil until it is needed; guarded by mu
	closed bool // guarded by mu
}

func (s *second) post(host string, request []byte) error {
	s.asking.Lock()
	defer s.asking.Unlock()
	raw, err := s.dial(host)
	if err != nil {
		return err
	}
	return raw.post(request)
}

func (s *second) dial(host string) (*Raw, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, net.ErrClosed
	}
	if s.raw == nil {
		raw, _, err := dial(host)
		if err != nil {
			return nil, err
		}
		s.raw = &raw
	}
	return s.raw, nil
}

func (s *second) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.raw != nil {
		_ = s.raw.Net.Close()
	}
}

// Payload is the body that posts a packet, as text.
func Payload(eio int, packet string) string {
	if eio == 4 {
		return packet
	}
	return fmt.Sprintf("%d:%s", len(utf16.Encode([]rune(packet))), packet)
}

// Packets splits the answer to a poll: packets with 0x1e between them. Before
// EIO 4, text has length, colon, packet (the server sends ASCII, so that a
// length counts bytes); bytes have 0, the length's digits as bytes, 0xff, packet.
func Packets(eio int, text bool, body []byte) (packets []string, ok bool) {
	if eio == 4 {
		return strings.Split(string(body), "\x1e"), true
	}
	for len(body) > 0 {
		mark, zero := byte(':'), byte('0')
		if !text {
			if body[0] != 0 {
				return nil, false
			}
			mark, zero, body = 0xff, 0, body[1:]
		}
		digits, rest, ok := bytes.Cut(body, []byte{mark})
		length := 0
		for _, d := range digits {
			length = 10*length + int(d-zero)
		}
		if !ok || length < 0 || length > len(rest) {
			return nil, false
		}
		packets, body = append(packets, string(rest[:length])), rest[length:]
	}
	return packets, true
}
