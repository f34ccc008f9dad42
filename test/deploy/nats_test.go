package deploy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/ramainen/doit-socket/internal/natstest"
	"github.com/ramainen/doit-socket/internal/siotest"
)

// The passwords of deploy/nats in tests.
const (
	ingestPassword  = "of-the-ingest"
	gatewayPassword = "of-the-gateway"
	routePassword   = "of-the-routes"
)

// deployed starts a cluster of three servers with a file of deploy/nats as it
// is; only addresses, and where certificates lie, are of the test. It returns
// what goes into --nats-url of a user.
func deployed(t *testing.T, file string) (urlOf func(user, password string) string) {
	t.Helper()
	ports := []int{siotest.FreePort(t), siotest.FreePort(t), siotest.FreePort(t)}
	routes := make([]string, len(ports))
	for i, port := range ports {
		routes[i] = fmt.Sprintf(`"nats-route://route:%s@127.0.0.1:%d"`, routePassword, port)
	}
	t.Setenv("NATS_INGEST_PASSWORD", ingestPassword)
	t.Setenv("NATS_GATEWAY_PASSWORD", gatewayPassword)
	t.Setenv("NATS_ROUTE_PASSWORD", routePassword)
	t.Setenv("NATS_ROUTES", "["+strings.Join(routes, ", ")+"]")
	servers := make([]*server.Server, len(ports))
	for i, port := range ports {
		servers[i] = natstest.Start(t, func(o *server.Options) {
			read, err := server.ProcessConfigFile(file)
			if err != nil {
				t.Fatal(err)
			}
			*o = *read
			o.ServerName, o.NoLog, o.NoSigs = fmt.Sprintf("nats-%d", i+1), true, true
			o.Host, o.Port = "127.0.0.1", server.RANDOM_PORT
			o.Cluster.Host, o.Cluster.Port = "127.0.0.1", port
		})
	}
	scheme := "nats"
	if strings.Contains(file, "tls") {
		scheme = "tls"
	}
	for _, s := range servers {
		natstest.Await(t, "the routes of "+s.Name(), func() bool {
			peers, err := s.Routez(nil)
			names := map[string]bool{}
			for _, r := range peers.Routes {
				names[r.RemoteName] = true
			}
			return err == nil && len(names) == len(servers)-1
		})
	}
	return func(user, password string) string {
		urls := make([]string, len(servers))
		for i, s := range servers {
			urls[i] = fmt.Sprintf("%s://%s:%s@%s", scheme, user, password, s.Addr())
		}
		return strings.Join(urls, ",")
	}
}

// Ingests and gateways do all that they do beside servers with the shipped
// files, and nobody else does anything.
func TestDeployedNats(t *testing.T) {
	t.Run("plain", func(t *testing.T) {
		urlOf := deployed(t, "../../deploy/nats/nats.conf")
		permitted(t, urlOf)
		forbidden(t, urlOf)
	})
	t.Run("tls", func(t *testing.T) {
		urlOf := deployed(t, withCertificates(t))
		permitted(t, urlOf)
		plain := strings.ReplaceAll(urlOf("gateway", gatewayPassword), "tls://", "nats://")
		nc, err := nats.Connect(plain, nats.RootCAs(os.Getenv("SSL_CERT_FILE")))
		if err == nil {
			if _, err := nc.TLSConnectionState(); err != nil {
				t.Errorf("a connection without TLS: %v", err)
			}
			nc.Close()
		}
	})
}

func permitted(t *testing.T, urlOf func(user, password string) string) {
	gateways := []*siotest.Program{
		start(t, "gateway", "--node", "gw-1", "--nats-url", urlOf("gateway", gatewayPassword)),
		start(t, "gateway", "--node", "gw-2", "--nats-url", urlOf("gateway", gatewayPassword)),
	}
	ingests := []*siotest.Program{
		start(t, "ingest", "--nats-url", urlOf("ingest", ingestPassword)),
		start(t, "ingest", "--nats-url", urlOf("ingest", ingestPassword)),
	}
	var pages []*siotest.Client
	for _, gateway := range gateways {
		page := siotest.Dial(t, gateway.URL, siotest.Options{})
		page.Register([]string{"42", "not a plain id"})
		pages = append(pages, page)
	}
	for _, ingest := range ingests {
		for _, id := range []string{"42", "not a plain id"} {
			siotest.MustPost(t, ingest.URL, id, "hello", `1`)
			for _, page := range pages {
				page.Expect("hello", 1.)
			}
		}
		if status, body := siotest.Post(t, ingest.URL, []string{"nobody"}, "hello", `1`); status != 200 || body != "ERROR" {
			t.Errorf("nobody: %d %s", status, body)
		}
		// Two sockets, and two ids on either node.
		if got := siotest.MustGet(t, ingest.URL+"/stat/all"); got != "6" {
			t.Errorf("/stat/all is %s, want 6", got)
		}
	}
	for _, p := range append(gateways, ingests...) {
		for line := range strings.Lines(siotest.MustGet(t, p.Admin+"/metrics")) {
			if strings.HasPrefix(line, "doit_nats_errors_total") && !strings.HasSuffix(line, " 0\n") {
				t.Errorf("%s\n%s", line, p.Log())
			}
		}
	}
}

func forbidden(t *testing.T, urlOf func(user, password string) string) {
	for _, url := range []string{urlOf("", ""), urlOf("gateway", ingestPassword), urlOf("route", routePassword)} {
		nc, err := nats.Connect(url)
		if !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: %v", url, err)
			nc.Close()
		}
	}
	refused := make(chan error, 100)
	connect := func(user, password string) *nats.Conn {
		nc, err := nats.Connect(urlOf(user, password), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return nc
	}
	ingest, gateway, second := connect("ingest", ingestPassword), connect("gateway", gatewayPassword), connect("gateway", gatewayPassword)
	ignore := func(*nats.Msg) {}
	for what, try := range map[string]func() error{
		"an ingest hears events":       func() error { _, err := ingest.Subscribe("user.42", ignore); return err },
		"an ingest hears all":          func() error { _, err := ingest.Subscribe(">", ignore); return err },
		"an ingest answers":            func() error { return ingest.Publish("_INBOX.x", nil) },
		"an ingest gives up users":     func() error { return ingest.Publish("doit.left", []byte("user.42")) },
		"a gateway emits":              func() error { return gateway.Publish("user.42", []byte(`["x"]`)) },
		"a gateway emits to a project": func() error { return gateway.Publish("app.shop.user.42", []byte(`["x"]`)) },
		"a gateway answers unasked":    func() error { return gateway.Publish("_INBOX.x", nil) },
		"a gateway hears all":          func() error { _, err := gateway.Subscribe(">", ignore); return err },
	} {
		if err := try(); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-refused:
			if !errors.Is(err, nats.ErrPermissionViolation) {
				t.Errorf("%s: %v", what, err)
			}
		case <-time.After(natstest.Patience):
			t.Errorf("%s, and may", what)
		}
	}

	var told atomic.Bool
	if _, err := ingest.Subscribe("doit.left", func(*nats.Msg) { told.Store(true) }); err != nil {
		t.Fatal(err)
	}
	natstest.Await(t, "an ingest to hear who is given up", func() bool {
		if err := gateway.Publish("doit.left", []byte("user.42")); err != nil {
			t.Fatal(err)
		}
		return told.Load()
	})

	// A gateway answers as often as it has to say something: a receipt, then the browsers' own.
	answer := func(m *nats.Msg) {
		for range 3 {
			_ = m.Respond([]byte("1 gw"))
		}
	}
	ask := func(nc *nats.Conn, subject string) {
		inbox := nc.NewInbox()
		sub, err := nc.SubscribeSync(inbox)
		if err != nil {
			t.Fatal(err)
		}
		if err := nc.PublishRequest(subject, inbox, nil); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			if m, err := sub.NextMsg(natstest.Patience); err != nil || len(m.Data) == 0 {
				t.Errorf("%s: answer %d: %v", subject, i+1, err)
			}
		}
	}
	for _, subject := range []string{"user.42", "app.shop.user.42", "doit.stat", "doit.node.gw-1"} {
		if _, err := gateway.Subscribe(subject, answer); err != nil {
			t.Fatal(err)
		}
	}
	if err := gateway.Flush(); err != nil {
		t.Fatal(err)
	}
	// Asked from another server it may be a little before that one has heard of the subscriptions.
	natstest.Await(t, "interest to spread", func() bool {
		_, err := ingest.Request("app.shop.user.42", nil, natstest.Patience)
		return err == nil
	})
	for _, subject := range []string{"user.42", "app.shop.user.42", "doit.stat"} {
		ask(ingest, subject)
	}
	natstest.Await(t, "interest to spread", func() bool {
		_, err := second.Request("doit.node.gw-1", nil, natstest.Patience)
		return err == nil
	})
	ask(second, "doit.node.gw-1")
	select {
	case err := <-refused:
		t.Error(err)
	default:
	}
}

// withCertificates returns nats-tls.conf as it is, beside certificates; programs of the test trust them.
func withCertificates(t *testing.T) (file string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"nats-tls.conf", "users.conf", "cluster.conf"} {
		text, err := os.ReadFile("../../deploy/nats/" + name)
		if err != nil {
			t.Fatal(err)
		}
		text = []byte(strings.ReplaceAll(string(text), "/etc/nats/tls", dir))
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, key := certificate(t)
	for name, pem := range map[string][]byte{"server.pem": cert, "ca.pem": cert, "server-key.pem": key} {
		if err := os.WriteFile(filepath.Join(dir, name), pem, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("SSL_CERT_FILE", filepath.Join(dir, "ca.pem"))
	return filepath.Join(dir, "nats-tls.conf")
}
