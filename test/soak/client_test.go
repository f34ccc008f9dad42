//go:build soak

package soak

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
)

// patience is how long a client waits for what must come.
const patience = 10 * time.Second

// A kind is a generation of clients on one transport.
type kind struct {
	eio     int
	polling bool
}

func (k kind) String() string {
	if k.polling {
		return fmt.Sprintf("EIO %d polling", k.eio)
	}
	return fmt.Sprintf("EIO %d websocket", k.eio)
}

var (
	socket4  = kind{eio: 4}
	socket3  = kind{eio: 3}
	polling4 = kind{eio: 4, polling: true}
	polling3 = kind{eio: 3, polling: true}
)

// A client is a page on one raw connection, cheap enough for fifteen thousand
// beside the server. One goroutine uses it; write may be called from others.
// A polling one polls when it is asked for a packet, and at no other time.
type client struct {
	kind
	conn net.Conn
	in   *bufio.Reader
	host string
	sid  string
	got  []string // packets received, not yet taken
}

var sources atomic.Uint32

// dial connects from one of 64 loopback addresses in turn: one has not ports enough.
func dial(host string) (*net.TCPConn, error) {
	d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+sources.Add(1)%64))}}
	conn, err := d.Dial("tcp", host)
	if err != nil {
		return nil, plain(err)
	}
	return conn.(*net.TCPConn), nil
}

// plain takes the addresses from an error, so that like ones can be counted.
func plain(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// call connects and says nothing yet.
func call(host string, k kind) (*client, error) {
	conn, err := dial(host)
	if err != nil {
		return nil, err
	}
	return &client{kind: k, conn: conn, in: bufio.NewReaderSize(conn, 512), host: host}, nil
}

// request is the head of an HTTP request for the session.
func (c *client) request(method, headers string) []byte {
	transport := "websocket"
	if c.polling {
		transport = "polling"
	}
	target := fmt.Sprintf("/socket.io/?EIO=%d&transport=%s", c.eio, transport)
	if c.sid != "" {
		target += "&sid=" + c.sid
	}
	return fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", method, target, c.host, headers)
}

const upgradeHeaders = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

// greeting is the first request: a poll, or the websocket's handshake.
func (c *client) greeting() []byte {
	if c.polling {
		return c.request("GET", "")
	}
	return c.request("GET", upgradeHeaders)
}

// open opens a session and waits for the open packet. What is behind the
// greeting is sent in the same write.
func open(host string, k kind, behind ...string) (*client, error) {
	c, err := call(host, k)
	if err != nil {
		return nil, err
	}
	greeting := c.greeting()
	for _, packet := range behind {
		greeting = append(greeting, frame(packet)...)
	}
	if err = c.write(greeting); err == nil {
		err = c.opened()
	}
	if err != nil {
		c.conn.Close()
		return nil, err
	}
	return c, nil
}

// opened reads the answer to the greeting.
func (c *client) opened() error {
	deadline := time.Now().Add(patience)
	var err error
	if c.polling {
		err = c.readPoll(deadline)
	} else {
		err = c.readUpgrade(deadline)
	}
	if err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	packet, err := c.next(deadline)
	if err != nil {
		return fmt.Errorf("open packet: %w", err)
	}
	var data struct{ SID string }
	if packet[0] != '0' || json.Unmarshal([]byte(packet[1:]), &data) != nil || data.SID == "" {
		return fmt.Errorf("open packet: got %.80q", packet)
	}
	c.sid = data.SID
	return nil
}

// readUpgrade reads the answer to a websocket's handshake.
func (c *client) readUpgrade(deadline time.Time) error {
	c.conn.SetReadDeadline(deadline)
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return plain(err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		resp.Body.Close()
		return fmt.Errorf("answered %s", resp.Status)
	}
	return nil
}

// connect joins "/". Clients before EIO 4 do not ask for it.
func (c *client) connect() error {
	if c.eio == 4 {
		if err := c.send("40"); err != nil {
			return err
		}
	}
	return c.expect("40")
}

func registration(id string) string { return `421["register",{"userid":"` + id + `"}]` }

const registered = `431[{"ok":true}]`

// register registers an id and waits for the callback.
func (c *client) register(id string) error {
	if err := c.send(registration(id)); err != nil {
		return err
	}
	return c.expect(registered)
}

// join opens a session, joins "/" and registers the id.
func join(host string, k kind, id string) (*client, error) {
	c, err := open(host, k)
	if err != nil {
		return nil, err
	}
	if err = c.connect(); err == nil {
		err = c.register(id)
	}
	if err != nil {
		c.conn.Close()
		return nil, err
	}
	return c, nil
}

// expect waits for a packet that begins so, and takes no other.
func (c *client) expect(prefix string) error {
	packet, err := c.next(time.Now().Add(patience))
	if err == nil && !strings.HasPrefix(packet, prefix) {
		err = fmt.Errorf("got %.80q", packet)
	}
	if err != nil {
		return fmt.Errorf("%s awaited: %w", prefix, err)
	}
	return nil
}

// hear waits for the next event and returns its JSON array.
func (c *client) hear(deadline time.Time) (string, error) {
	packet, err := c.next(deadline)
	if err != nil {
		return "", err
	}
	event, ok := strings.CutPrefix(packet, "42")
	if !ok {
		return "", fmt.Errorf("got %.80q", packet)
	}
	return event, nil
}

// frame returns a packet as a masked text frame.
func frame(packet string) []byte {
	return ws.MustCompileFrame(ws.MaskFrameInPlace(ws.NewTextFrame([]byte(packet))))
}

func (c *client) write(b []byte) error {
	c.conn.SetWriteDeadline(time.Now().Add(patience))
	_, err := c.conn.Write(b)
	return plain(err)
}

// send sends a packet. On polling no poll may be waiting.
func (c *client) send(packet string) error {
	if !c.polling {
		return c.write(frame(packet))
	}
	if err := c.write(c.post(packet)); err != nil {
		return err
	}
	body, err := c.readAnswer(time.Now().Add(patience))
	if err == nil && string(body) != "ok" {
		err = fmt.Errorf("POST: %.80q", body)
	}
	return err
}

// post is the request that posts a packet, which is ASCII.
func (c *client) post(packet string) []byte {
	if c.eio < 4 {
		packet = fmt.Sprintf("%d:%s", len(packet), packet)
	}
	return append(c.request("POST", fmt.Sprintf("Content-Type: text/plain;charset=UTF-8\r\nContent-Length: %d\r\n", len(packet))), packet...)
}

// A closeError is how the server said that the session is over.
type closeError struct {
	code ws.StatusCode // of the websocket's close frame; 0 on polling
	text string
}

func (e closeError) Error() string { return fmt.Sprintf("closed by the server: %d %s", e.code, e.text) }

// next returns the next packet of the session. It answers heartbeats and passes over noops.
func (c *client) next(deadline time.Time) (string, error) {
	for {
		for len(c.got) == 0 {
			var err error
			if c.polling {
				if err = c.write(c.request("GET", "")); err == nil {
					err = c.readPoll(deadline)
				}
			} else {
				err = c.readFrame(deadline)
			}
			if err != nil {
				return "", err
			}
		}
		packet := c.got[0]
		c.got = c.got[1:]
		switch packet {
		case "":
			return "", errors.New("empty packet")
		case "1":
			return "", closeError{}
		case "2":
			if err := c.send("3"); err != nil {
				return "", fmt.Errorf("pong: %w", err)
			}
		case "3", "6":
		default:
			return packet, nil
		}
	}
}

func (c *client) readFrame(deadline time.Time) error {
	c.conn.SetReadDeadline(deadline)
	f, err := ws.ReadFrame(c.in)
	switch {
	case err != nil:
		return plain(err)
	case f.Header.OpCode == ws.OpClose:
		code, text := ws.ParseCloseFrameData(f.Payload)
		return closeError{code, text}
	case f.Header.OpCode != ws.OpText || !f.Header.Fin:
		return fmt.Errorf("frame %+v", f.Header)
	}
	c.got = append(c.got, string(f.Payload))
	return nil
}

// readAnswer reads an HTTP answer, which must be 200.
func (c *client) readAnswer(deadline time.Time) ([]byte, error) {
	c.conn.SetReadDeadline(deadline)
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return nil, plain(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("answered %s %.80q", resp.Status, body)
	}
	return body, err
}

// readPoll reads the answer to a poll: packets with 0x1e between them, or before
// EIO 4: 0, the length's digits as bytes, 0xff, packet.
func (c *client) readPoll(deadline time.Time) error {
	body, err := c.readAnswer(deadline)
	if err != nil {
		return err
	}
	if c.eio == 4 {
		c.got = append(c.got, strings.Split(string(body), "\x1e")...)
		return nil
	}
	for len(body) > 0 {
		digits, rest, ok := bytes.Cut(body[1:], []byte{0xff})
		length := 0
		for _, d := range digits {
			length = 10*length + int(d)
		}
		if body[0] != 0 || !ok || length > len(rest) {
			return fmt.Errorf("payload %.80q", body)
		}
		c.got = append(c.got, string(rest[:length]))
		body = rest[length:]
	}
	return nil
}

// leave says goodbye. On polling no poll may be waiting.
func (c *client) leave() {
	if c.polling {
		_ = c.send("1")
	} else {
		_ = c.write(ws.MustCompileFrame(ws.MaskFrameInPlace(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, "")))))
	}
	c.conn.Close()
}

// reset ends the connection with a RST, as a machine does that is switched off and on.
func (c *client) reset() {
	_ = c.conn.(*net.TCPConn).SetLinger(0)
	c.conn.Close()
}
