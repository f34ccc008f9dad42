package natstest

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// A subscription on one server of a cluster gets messages published on any other.
func TestCluster(t *testing.T) {
	servers := Cluster(t, 3)
	for i, s := range servers {
		subscriber := Connect(t, s)
		sub, err := subscriber.SubscribeSync("hello")
		if err != nil {
			t.Fatal(err)
		}
		publisher := Connect(t, servers[(i+1)%3])
		Await(t, "interest", func() bool {
			if err := publisher.Publish("hello", nil); err != nil {
				t.Fatal(err)
			}
			if err := publisher.Flush(); err != nil {
				t.Fatal(err)
			}
			n, _, _ := sub.Pending()
			return n > 0
		})
	}
}

func TestRestart(t *testing.T) {
	first := Start(t, MaxPayload(1000))
	nc := Connect(t, first, nats.ReconnectWait(time.Millisecond), nats.ReconnectJitter(0, 0))
	if got := nc.MaxPayload(); got != 1000 {
		t.Errorf("MaxPayload is %d", got)
	}
	Stop(first)
	Restart(t, first)
	Await(t, "reconnect", nc.IsConnected)
}
