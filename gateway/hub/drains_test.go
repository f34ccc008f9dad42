package hub

import (
	"bytes"
	"fmt"
	"net"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/ramainen/doit-socket/internal/natstest"
)

// A pings is a dialer of nats.go that counts the PINGs of its connections, which begin the round trips.
type pings struct{ n atomic.Int64 }

func (c *pings) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	return counted{conn, c}, err
}

type counted struct {
	net.Conn
	*pings
}

func (c counted) Write(b []byte) (int, error) {
	c.n.Add(int64(bytes.Count(b, []byte("PING\r\n"))))
	return c.Conn.Write(b)
}

// Subscriptions that are given up at the same time cost a bounded number of goroutines.
func TestManyAreGivenUp(t *testing.T) {
	const users, perSocket = 3200, 32
	count := &pings{}
	b, proxy := behindProxy(t, nats.SetCustomDialer(count))
	var sockets []*Socket
	for i := range users / perSocket {
		var subjects []string
		for j := range perSocket {
			subjects = append(subjects, fmt.Sprintf("user.%d-%d", i, j))
		}
		_, s := b.page(subjects...)
		sockets = append(sockets, s)
	}
	proxy.Freeze(true, false)
	pings := count.n.Load()
	busy := make(chan error, 1)
	b.hub.Register(attach(&recorder{}), []string{"user.busy"}, func(err error) { busy <- err })
	natstest.Await(t, "the hub to ask", func() bool { return count.n.Load() > pings })
	for _, s := range sockets { // while the hub waits for the answer
		b.hub.Detach(s)
	}
	before, most := runtime.NumGoroutine(), 0
	proxy.Freeze(false, false)
	natstest.Await(t, "end of the subscriptions", func() bool {
		most = max(most, runtime.NumGoroutine())
		return b.hub.nc.NumSubscriptions() == 2 // stat and user.busy
	})
	if err := <-busy; err != nil {
		t.Error(err)
	}
	if most > before+600 { // nats.go ends the goroutines of one batch while the next ones begin
		t.Errorf("%d goroutines, %d before", most, before)
	}
	b.awaitUsers(1)
}

// A user that has another socket here, with a confirmed subscription, is registered without a round trip.
func TestSecondSocketNeedsNoRoundTrip(t *testing.T) {
	count := &pings{}
	b, proxy := behindProxy(t, nats.SetCustomDialer(count))
	b.page("user.42", "user.43")
	b.flush()
	proxy.Freeze(true, true)
	pings := count.n.Load()
	b.page("user.43", "user.42")
	if n := count.n.Load() - pings; n != 0 {
		t.Errorf("%d round trips", n)
	}
	waits := make(chan error, 1)
	b.hub.Register(attach(&recorder{}), []string{"user.42", "user.new"}, func(err error) { waits <- err })
	natstest.Await(t, "the hub to ask", func() bool { return count.n.Load() > pings })
	select {
	case err := <-waits:
		t.Errorf("a new user was answered with %v before the server has it", err)
	default:
	}
	proxy.Freeze(false, false)
	if err := <-waits; err != nil {
		t.Error(err)
	}
}
