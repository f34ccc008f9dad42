package publish

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ramainen/doit-socket/internal/natstest"
)

// large is an argument of which one message may be under way.
var large = `"` + strings.Repeat("x", underWay*2/3) + `"`

// An emit with large messages sends the next one when the last one is answered. Small ones of others go on meanwhile.
func TestLargeMessagesWaitForAnswers(t *testing.T) {
	b := newBench(t)
	p := newPublisher(t, b.server.ClientURL())
	p.Bound, p.bus.patience = natstest.Patience, natstest.Patience
	users := []string{"one", "two", "three"}
	heard := make(chan *nats.Msg, len(users))
	for _, id := range users {
		b.gw.On("user."+id, func(m *nats.Msg) { heard <- m })
	}
	b.gw.Holds("fence", 1)
	outcome := make(chan error, 1)
	go func() {
		outcomes, err := p.Publish(context.Background(), Emit{To: users, Event: "e", Args: [][]byte{[]byte(large)}}, AllReceivers)
		for i, o := range outcomes {
			if o.State != Reached {
				t.Errorf("%s: %+v", users[i], o)
			}
		}
		outcome <- err
	}()
	for _, id := range users {
		m := <-heard
		if m.Subject != "user."+id {
			t.Fatalf("%s was sent, not that of %s", m.Subject, id)
		}
		// NATS hands over in order, so what is sent before the fence is heard before it is answered.
		if reached, err := emit(p, []string{"fence"}, "e", "1"); !reached || err != nil {
			t.Fatalf("%v, %v", reached, err)
		}
		if len(heard) > 0 {
			t.Fatalf("%s was sent before %s had answered", (<-heard).Subject, id)
		}
		if err := m.Respond([]byte("1 gw")); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-outcome; err != nil {
		t.Error(err)
	}
}

// A gateway that does not answer for one receiver keeps the others waiting for patience only.
func TestLargeMessagesDoNotWaitForEver(t *testing.T) {
	b := newBench(t)
	p := newPublisher(t, b.server.ClientURL())
	p.Bound, p.bus.patience = natstest.Patience, time.Millisecond
	b.gw.Holds("silent", -1)
	b.gw.Holds("42", 1)
	if reached, err := emit(p, []string{"silent", "silent", "silent", "42"}, "e", large); !reached || err != nil {
		t.Errorf("%v, %v", reached, err)
	}
}
