package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/ramainen/doit-socket/internal/natstest"
)

// Every way of saying who one is opens a server that asks for it, and none other does.
func TestCredentials(t *testing.T) {
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	public, err := user.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	s := natstest.Start(t, func(o *server.Options) {
		o.Nkeys = []*server.NkeyUser{{Nkey: public}}
		o.Users = []*server.User{{Username: "gateway", Password: "word"}}
	})
	nkey := filepath.Join(t.TempDir(), "user.nk")
	if err := os.WriteFile(nkey, seed, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]BusConfig{
		"nkey":     {NatsURL: s.ClientURL(), NatsNkey: nkey},
		"password": {NatsURL: s.ClientURL(), NatsUser: "gateway", NatsPassword: "word"},
		"address":  {NatsURL: strings.Replace(s.ClientURL(), "nats://", "nats://gateway:word@", 1)},
	} {
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		nc, err := logged(t.Output()).ConnectBus(c, "test", func(err error) { t.Errorf("%s: %v", name, err) })
		if err != nil {
			t.Fatal(err)
		}
		natstest.Await(t, name+" to connect", nc.IsConnected)
		Drain(nc)
	}
	for name, c := range map[string]BusConfig{
		"nobody":         {NatsURL: s.ClientURL()},
		"wrong password": {NatsURL: s.ClientURL(), NatsUser: "gateway", NatsPassword: "other"},
	} {
		failed := make(chan error, 1)
		nc, err := logged(t.Output()).ConnectBus(c, "test", func(err error) { failed <- err })
		if err != nil {
			continue // refused at once
		}
		if err := <-failed; !strings.Contains(err.Error(), "closed for good") {
			t.Errorf("%s: %v", name, err)
		}
		nc.Close()
	}
}

func TestBusConfig(t *testing.T) {
	const url = "nats://127.0.0.1:4222"
	missing := filepath.Join(t.TempDir(), "missing")
	for want, c := range map[string]BusConfig{
		"--nats-url is empty":         {NatsURL: " , "},
		"one of them is enough":       {NatsURL: url, NatsNkey: "a", NatsUser: "b", NatsPassword: "c"},
		"--nats-password go together": {NatsURL: url, NatsUser: "b"},
		"--nats-key go together":      {NatsURL: url, NatsCert: "b"},
		"--nats-creds: open":          {NatsURL: url, NatsCreds: missing},
		"--nats-ca: open":             {NatsURL: url, NatsCA: missing},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
	}
}
