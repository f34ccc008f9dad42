package siotest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Patience is how long a test waits for what must come.
const Patience = 10 * time.Second

// Options choose a client's generation and transport.
type Options struct {
	EIO     int  // 2, 3 or 4; 0 means 4
	Polling bool // else websocket
	Base64  bool // polling before EIO 4: asks for text, as browsers without binary XMLHttpRequest do

	Path string // of the server; "" means /socket.io/
}

func (o Options) String() string {
	if o.Polling {
		return fmt.Sprintf("EIO %d polling", o.EIO)
	}
	return fmt.Sprintf("EIO %d websocket", o.EIO)
}

// A Conn is an Engine.IO session, packet by packet. It is cheap enough for
// fifteen thousand beside the server, and asks only when it is told to: a
// polling one polls while a packet is awaited, and at no other time.
//
// One goroutine receives. Another may send meanwhile; where a poll waits, that
// takes a second connection.
type Conn struct {
	Options
	Raw
	Host   string // host:port of the server
	Opened string // the open packet
	SID    string // the session's id, from the open packet

	query string   // in place of the session's own, if it is not empty
	got   []string // packets received, not yet returned

	asking sync.Mutex // held during a request on Raw; no other lock is taken under it
	second second
}

// NewConn returns a session that says nothing yet, on a connection to host.
func NewConn(conn net.Conn, host string, o Options) *Conn {
	if o.EIO == 0 {
		o.EIO = 4
	}
	return &Conn{Options: o, Raw: newRaw(conn), Host: host}
}

// Begin connects to the URL of a server and says nothing yet.
func Begin(base string, o Options) (*Conn, error) {
	raw, host, err := dial(base)
	if err != nil {
		return nil, err
	}
	return NewConn(raw.Net, host, o), nil
}

// Connect opens a session at the URL of a server and waits for the open packet.
func Connect(base string, o Options) (*Conn, error) {
	c, err := Begin(base, o)
	if err != nil {
		return nil, err
	}
	if err := c.Open(); err != nil {
		return nil, err
	}
	return c, nil
}

// DialSocket opens a websocket with a query of any kind and waits for nothing
// but the answer. A refusal is a ws.StatusError.
func DialSocket(base, query string) (*Conn, error) {
	c, err := Begin(base, Options{})
	if err != nil {
		return nil, err
	}
	c.query = query
	if err = c.Write(c.Greeting()); err == nil {
		err = c.ReadUpgrade(time.Now().Add(Patience))
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// target is path and query of the session's requests.
func (c *Conn) target() string {
	path := cmp.Or(c.Path, "/socket.io/")
	if c.query != "" {
		return path + "?" + c.query
	}
	transport := "websocket"
	if c.Polling {
		transport = "polling"
	}
	target := fmt.Sprintf("%s?EIO=%d&transport=%s", path, c.EIO, transport)
	if c.Polling && c.Base64 && c.EIO < 4 {
		target += "&b64=1"
	}
	if c.SID != "" {
		target += "&sid=" + url.QueryEscape(c.SID)
	}
	return target
}

// Request is the head of an HTTP request for the session. Each of its headers ends with a line break.
func (c *Conn) Request(method, headers string) []byte {
	return fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", method, c.target(), c.Host, headers)
}

// Greeting is the session's first request: a poll, or the websocket's handshake.
func (c *Conn) Greeting() []byte {
	if c.Polling {
		return c.Request(http.MethodGet, "")
	}
	return Handshake(c.Host, c.target())
}

// Open sends the greeting, with packets behind it in the same write, and waits
// for the open packet. A session that cannot be opened is closed.
func (c *Conn) Open(behind ...string) error {
	greeting := c.Greeting()
	for _, packet := range behind {
		greeting = append(greeting, Frame(packet)...)
	}
	err := c.Write(greeting)
	if err == nil {
		err = c.ReadOpen()
	}
	if err != nil {
		c.Close()
	}
	return err
}

// ReadOpen reads the answer to the greeting and the open packet.
func (c *Conn) ReadOpen() error {
	deadline := time.Now().Add(Patience)
	var err error
	if c.Polling {
		err = c.readPoll(deadline)
	} else {
		err = c.ReadUpgrade(deadline)
	}
	if err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	if c.Opened, err = c.Receive(deadline); err != nil {
		return fmt.Errorf("open packet: %w", err)
	}
	var data struct{ SID string }
	if !strings.HasPrefix(c.Opened, "0") || json.Unmarshal([]byte(c.Opened[1:]), &data) != nil || data.SID == "" {
		return fmt.Errorf("open packet: got %.80q", c.Opened)
	}
	c.SID = data.SID
	return nil
}

// Send sends a packet.
func (c *Conn) Send(packet string) error {
	switch {
	case !c.Polling:
		return c.Write(Frame(packet))
	case c.asking.TryLock():
		defer c.asking.Unlock()
		return c.post(c.PostPacket(packet))
	default:
		return c.second.post(c.Host, c.PostPacket(packet))
	}
}

// Receive returns the next packet, whatever it is. A deadline of zero is none.
func (c *Conn) Receive(deadline time.Time) (string, error) {
	if !c.Polling && len(c.got) == 0 {
		return c.readText(deadline)
	}
	for len(c.got) == 0 {
		if err := c.poll(deadline); err != nil {
			return "", err
		}
	}
	packet := c.got[0]
	c.got = c.got[1:]
	return packet, nil
}

// Buffered returns how many packets have been received and not yet returned.
func (c *Conn) Buffered() int { return len(c.got) }

// Reset ends the connection with a RST, as a machine does that is switched off and on.
func (c *Conn) Reset() {
	_ = c.Net.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// Close ends the connection without a word, from any goroutine.
func (c *Conn) Close() {
	_ = c.Net.Close()
	c.second.close()
}
