// Package siotest is Socket.IO clients for tests, on raw frames: what they
// send and read is what is on the wire. Client is a page in a test, and Tab its
// connection, packet by packet; Page and Conn are the same, returning errors. Only tests and test programs import it.
package siotest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
)

// An Event is what a page's socket.on would get.
type Event struct {
	Name string
	Args []any
}

// A Client is one connected page. It answers heartbeats by itself.
type Client struct {
	t      testing.TB
	page   *Page
	events chan Event
	acks   chan string
	closed chan struct{}
	err    error // why closed
	sent   int
}

// Dial connects and joins the namespace "/". It fails the test if that does not happen.
func Dial(t testing.TB, base string, o Options) *Client {
	t.Helper()
	conn, err := Connect(base, o)
	if err == nil && conn.EIO == 4 {
		err = conn.Send("40")
	}
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	c := &Client{t: t, page: &Page{conn}, events: make(chan Event, 1<<16), acks: make(chan string, 1<<10), closed: make(chan struct{})}
	joined := make(chan struct{}, 1)
	go c.read(joined)
	t.Cleanup(c.Close)
	select {
	case <-joined:
	case <-c.closed:
		t.Fatalf("closed before joined: %v", c.err)
	case <-time.After(Patience):
		t.Fatal("not joined in time")
	}
	return c
}

func (c *Client) read(joined chan<- struct{}) {
	defer close(c.closed)
	for c.err == nil {
		var packet string
		if packet, c.err = c.page.Next(time.Time{}); c.err == nil {
			c.err = c.handle(packet, joined)
		}
	}
}

func (c *Client) handle(p string, joined chan<- struct{}) error {
	switch {
	case strings.HasPrefix(p, "40"):
		joined <- struct{}{}
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

// Closed is closed when the connection has ended.
func (c *Client) Closed() <-chan struct{} { return c.closed }

// Close ends the connection without a word. Closing twice is fine.
func (c *Client) Close() {
	c.page.Close()
	<-c.closed
}

// Send sends a raw Engine.IO packet.
func (c *Client) Send(packet string) {
	c.t.Helper()
	if err := c.page.Send(packet); err != nil {
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

// Expect takes the next event and checks that it is this one. Arguments are as JSON is decoded into any.
func (c *Client) Expect(event string, args ...any) {
	c.t.Helper()
	if got := c.Next(); got.Name != event || len(args)+len(got.Args) > 0 && !reflect.DeepEqual(got.Args, args) {
		c.t.Fatalf("heard %v, want %s %v", got, event, args)
	}
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
