package e2e

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/siotest"
)

// A process that stands still for longer than any browser may be silent reads what has come meanwhile before it judges:
// 200 sockets of clients before 3.0, whose pings wait, one of each transport of later ones, whose pong does, and one
// that has sent its CONNECT, all stay.
func TestStandstill(t *testing.T) {
	const patience = 4 * time.Second // ping interval and three times the ping timeout
	p := start(t, "embedded", "--ping-interval", "1s", "--ping-timeout", "1s", "--connect-timeout", "2s")
	open := func(o siotest.Options) *siotest.Conn {
		c, err := siotest.Connect(p.URL, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	// expect receives packets until one has come that begins with each of these.
	expect := func(c *siotest.Conn, want ...string) {
		t.Helper()
		for deadline := time.Now().Add(siotest.Patience); len(want) > 0; {
			packet, err := c.Receive(deadline)
			if err != nil {
				t.Fatalf("%v: instead of %q: %v", c.Options, want, err)
			}
			want = slices.DeleteFunc(want, func(prefix string) bool { return strings.HasPrefix(packet, prefix) })
		}
	}
	send := func(c *siotest.Conn, packet string) {
		t.Helper()
		if err := c.Send(packet); err != nil {
			t.Fatal(err)
		}
	}
	var old []*siotest.Conn
	for range 200 {
		c := open(siotest.Options{EIO: 3})
		expect(c, "40")
		old = append(old, c)
	}
	current := []*siotest.Conn{open(siotest.Options{}), open(siotest.Options{Polling: true})}
	for _, c := range current {
		send(c, "40")
		expect(c, "40")
	}
	for _, c := range current {
		expect(c, "2")
	}
	connecting := open(siotest.Options{})

	p.Signal(syscall.SIGSTOP)
	ended := time.After(patience + patience/4) // a process that is stopped shows no condition to wait for
	for _, c := range old {
		send(c, "2")
	}
	send(current[0], "3")
	posted := make(chan error, 1)
	go func() { posted <- current[1].Send("3") }()
	send(connecting, "40")
	<-ended
	p.Signal(syscall.SIGCONT)

	for _, c := range old {
		expect(c, "3")
		send(c, "2") // it is still there after it was judged
		expect(c, "3")
	}
	if err := <-posted; err != nil {
		t.Fatal(err)
	}
	expect(connecting, "40", "2")
	send(connecting, "3")
	for _, c := range current {
		expect(c, "2")
		send(c, "3")
	}
	if metrics := siotest.MustGet(t, p.Admin+"/metrics"); !strings.Contains(metrics, `doit_gateway_closed_total{reason="ping timeout"} 0`+"\n") {
		t.Error("sessions were closed as silent")
	}
}
