package siotest

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// A Tab is a page's connection in a test, packet by packet. What comes is
// received at once, so that a poll always waits; nothing is answered, heartbeats neither.
type Tab struct {
	*Conn
	T       testing.TB
	packets chan string // closed with the connection
}

// Open opens a session and takes its open packet. It is closed with the test, which fails if that does not happen.
func Open(t testing.TB, base string, o Options) *Tab {
	t.Helper()
	conn, err := Connect(base, o)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	return receive(t, conn)
}

// OpenSocket opens a websocket with a query of any kind. Its first packet is what the server says first.
func OpenSocket(t testing.TB, base, query string) *Tab {
	t.Helper()
	conn, err := DialSocket(base, query)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	return receive(t, conn)
}

func receive(t testing.TB, conn *Conn) *Tab {
	p := &Tab{Conn: conn, T: t, packets: make(chan string, 1<<14)}
	go func() {
		defer close(p.packets)
		for {
			packet, err := conn.Receive(time.Time{})
			if err != nil {
				return
			}
			p.packets <- packet
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		for range p.packets { // until the goroutine has ended
		}
	})
	return p
}

// Join opens a session and joins the namespace "/".
func Join(t testing.TB, base string, o Options) *Tab {
	t.Helper()
	p := Open(t, base, o)
	if p.EIO == 4 {
		p.Send("40")
	}
	if answer := p.Next(); !strings.HasPrefix(answer, "40") {
		t.Fatalf("joined with %q", answer)
	}
	return p
}

// Next returns the next packet, "" at the end of the connection.
func (p *Tab) Next() string {
	p.T.Helper()
	late := time.NewTimer(Patience)
	defer late.Stop()
	select {
	case packet := <-p.packets:
		return packet
	case <-late.C:
		p.T.Fatal("no packet in time")
		return ""
	}
}

// Send sends packets.
func (p *Tab) Send(packets ...string) {
	p.T.Helper()
	for _, packet := range packets {
		if err := p.Conn.Send(packet); err != nil {
			p.T.Fatalf("send %.80q: %v", packet, err)
		}
	}
}

// Expect takes packets and checks that they are these.
func (p *Tab) Expect(packets ...string) {
	p.T.Helper()
	for _, want := range packets {
		if got := p.Next(); got != want {
			p.T.Fatalf("got %q, want %q", got, want)
		}
	}
}

// ExpectJoined takes the answer to a CONNECT of EIO 4 and returns the socket's id.
func (p *Tab) ExpectJoined() string {
	p.T.Helper()
	var answer map[string]string
	packet := p.Next()
	if err := json.Unmarshal([]byte(strings.TrimPrefix(packet, "40")), &answer); err != nil || len(answer) != 1 || answer["sid"] == "" {
		p.T.Fatalf("got %q", packet)
	}
	return answer["sid"]
}

// ExpectEnd checks that nothing comes but pings, and the end of the connection.
func (p *Tab) ExpectEnd() {
	p.T.Helper()
	began := time.Now()
	got := p.Next()
	for got == "2" && time.Since(began) < Patience {
		got = p.Next()
	}
	if got != "" {
		p.T.Fatalf("got %q, want the end", got)
	}
}

// ExpectAlive proves with a fence that nothing else came, and that the server still answers.
func (p *Tab) ExpectAlive() {
	p.T.Helper()
	p.Send(`42999["unregister",{"userid":"fence"}]`)
	p.Expect(`43999[{"ok":true}]`)
}

// Register registers an id and waits for the callback.
func (p *Tab) Register(id string) {
	p.T.Helper()
	body, err := json.Marshal([]any{"register", map[string]string{"userid": id}})
	if err != nil {
		p.T.Fatal(err)
	}
	p.Send("427" + string(body))
	p.Expect(`437[{"ok":true}]`)
}
