// Package siotest is a Socket.IO client for tests, on raw frames: what it
// sends and reads is what is on the wire. Only test files import it.
package siotest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// Patience is how long a test waits for what must come.
const Patience = 10 * time.Second

// An Event is what a page's socket.on would get.
type Event struct {
	Name string
	Args []any
}

// A Client is one connected page. It answers heartbeats by itself.
type Client struct {
	t         testing.TB
	transport Transport
	eio       int
	events    chan Event
	acks      chan string
	closed    chan struct{}
	err       error // why closed
	id        string
	sent      int
	once      sync.Once
}

// Options choose the client's generation and transport.
type Options struct {
	EIO     int  // 3 or 4; 0 means 4
	Polling bool // else websocket
}

// Dial connects and joins the namespace "/". It fails the test if that does not happen.
func Dial(t testing.TB, base string, o Options) *Client {
	t.Helper()
	if o.EIO == 0 {
		o.EIO = 4
	}
	var transport Transport
	var err error
	if o.Polling {
		transport, err = Poll(base, o.EIO)
	} else {
		transport, err = DialSocket(base, fmt.Sprintf("EIO=%d&transport=websocket", o.EIO))
	}
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	c := &Client{
		t: t, transport: transport, eio: o.EIO,
		events: make(chan Event, 1<<16), acks: make(chan string, 1<<10), closed: make(chan struct{}),
	}
	joined := make(chan string, 1)
	go c.read(joined)
	t.Cleanup(c.Close)
	select {
	case c.id = <-joined:
	case <-c.closed:
		t.Fatalf("closed before joined: %v", c.err)
	case <-time.After(Patience):
		t.Fatal("not joined in time")
	}
	return c
}

func (c *Client) read(joined chan<- string) {
	defer close(c.closed)
	for {
		packets, err := c.transport.Receive()
		if err != nil {
			c.err = err
			return
		}
		for _, p := range packets {
			if err := c.handle(p, joined); err != nil {
				c.err = err
				return
			}
		}
	}
}

func (c *Client) handle(p string, joined chan<- string) error {
	switch {
	case strings.HasPrefix(p, "0"):
		if c.eio == 4 {
			return c.transport.Send("40")
		}
	case p == "1":
		return io.EOF
	case p == "2":
		return c.transport.Send("3")
	case strings.HasPrefix(p, "40"):
		var connected struct{ SID string }
		_ = json.Unmarshal([]byte(p[2:]), &connected)
		joined <- connected.SID
	case strings.HasPrefix(p, "42"):
		var list []any
		if err := json.Unmarshal([]byte(p[2:]), &list); err != nil {
			return fmt.Errorf("event %q: %w", p, err)
		}
		c.events <- Event{Name: list[0].(string), Args: list[1:]}
	case strings.HasPrefix(p, "43"):
		c.acks <- p[2:]
	case strings.HasPrefix(p, "41"), strings.HasPrefix(p, "44"):
		return fmt.Errorf("server said %q", p)
	}
	return nil
}

// ID is the socket's id, as the page knows it (EIO 4).
func (c *Client) ID() string { return c.id }

// Closed is closed when the connection has ended.
func (c *Client) Closed() <-chan struct{} { return c.closed }

// Close ends the connection without a word. Closing twice is fine.
func (c *Client) Close() {
	c.once.Do(func() {
		c.transport.Close()
		<-c.closed
	})
}

// Send sends a raw Engine.IO packet.
func (c *Client) Send(packet string) {
	c.t.Helper()
	if err := c.transport.Send(packet); err != nil {
		c.t.Fatalf("send %.80q: %v", packet, err)
	}
}

// Call emits an event with a callback and returns what the callback gets.
func (c *Client) Call(event string, arg any) map[string]any {
	c.t.Helper()
	body, err := json.Marshal([]any{event, arg})
	if err != nil {
		c.t.Fatal(err)
	}
	id := fmt.Sprint(c.sent)
	c.sent++
	c.Send("42" + id + string(body))
	select {
	case ack := <-c.acks:
		var answer []map[string]any
		if rest, ok := strings.CutPrefix(ack, id); !ok || json.Unmarshal([]byte(rest), &answer) != nil || len(answer) != 1 {
			c.t.Fatalf("callback %s got %q", id, ack)
		}
		return answer[0]
	case <-c.closed:
		c.t.Fatalf("closed while %s waited for its callback: %v", event, c.err)
	case <-time.After(Patience):
		c.t.Fatalf("no callback of %s in time", event)
	}
	return nil
}

// Register registers an id, or a list of them, and waits for the callback.
func (c *Client) Register(userid any) {
	c.t.Helper()
	if answer := c.Call("register", map[string]any{"userid": userid}); answer["ok"] != true {
		c.t.Fatalf("register %v: %v", userid, answer)
	}
}

// Next returns the next event.
func (c *Client) Next() Event {
	c.t.Helper()
	select {
	case e := <-c.events:
		return e
	default:
	}
	select {
	case e := <-c.events:
		return e
	case <-c.closed:
		c.t.Fatalf("closed while an event was awaited: %v", c.err)
	case <-time.After(Patience):
		c.t.Fatal("no event in time")
	}
	return Event{}
}

// Until returns the events that came before one named fence, which it takes too.
func (c *Client) Until(fence string) []Event {
	c.t.Helper()
	var before []Event
	for {
		e := c.Next()
		if e.Name == fence {
			return before
		}
		before = append(before, e)
	}
}

// AwaitClose waits for the end of the connection.
func (c *Client) AwaitClose() error {
	c.t.Helper()
	select {
	case <-c.closed:
	case <-time.After(Patience):
		c.t.Fatal("not closed in time")
	}
	return c.err
}

// Post emits as PHP's class does and returns status and body.
func Post(t testing.TB, base string, ids []string, event, data string) (int, string) {
	t.Helper()
	form := url.Values{"message": {event}, "data": {data}}
	for i, id := range ids {
		form.Set(fmt.Sprintf("id[%d]", i), id)
	}
	resp, err := http.PostForm(base+"/emit", form)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, resp)
}

// MustPost emits to one id and fails the test unless the answer is OK.
func MustPost(t testing.TB, base, id, event, data string) {
	t.Helper()
	if status, body := Post(t, base, []string{id}, event, data); body != "OK" {
		t.Fatalf("emit %q to %q: %d %s", event, id, status, body)
	}
}
