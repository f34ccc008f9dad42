package siotest

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
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

// post posts a packet: on a second connection while a poll waits on the first.
func (c *Conn) post(packet string) error {
	if c.asking.TryLock() {
		defer c.asking.Unlock()
		return c.postAlone(c.PostPacket(packet))
	}
	c.second.Lock()
	defer c.second.Unlock()
	beside, err := c.dialBeside()
	if err != nil {
		return err
	}
	return beside.postAlone(c.PostPacket(packet))
}

// dialBeside returns the second connection. The caller holds second.
func (c *Conn) dialBeside() (*Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.beside == nil && !c.closed {
		beside, err := Begin(c.Host, c.Options)
		if err != nil {
			return nil, err
		}
		c.beside = beside
	}
	if c.closed {
		return nil, net.ErrClosed
	}
	return c.beside, nil
}

// postAlone sends a POST on a connection that nothing else uses meanwhile.
func (c *Conn) postAlone(request []byte) error {
	if err := c.Write(request); err != nil {
		return err
	}
	_, body, err := c.ReadAnswer(time.Now().Add(Patience))
	if err == nil && string(body) != "ok" {
		err = fmt.Errorf("POST: %.80q", body)
	}
	return err
}

// ReadAnswer reads an HTTP answer, which must be 200.
func (c *Conn) ReadAnswer(deadline time.Time) (contentType string, body []byte, err error) {
	_ = c.Net.SetReadDeadline(deadline)
	resp, err := http.ReadResponse(c.In, nil)
	if err != nil {
		return "", nil, Cause(err)
	}
	body, err = io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("answered %s %.80q", resp.Status, bytes.TrimSpace(body))
	}
	return resp.Header.Get("Content-Type"), body, err
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
		mark, zero := byte(0xff), byte(0)
		if text {
			mark, zero = ':', '0'
		} else if body[0] != 0 {
			return nil, false
		} else {
			body = body[1:]
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
