package daemon

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/ramainen/doit-socket/internal/listen"
	"github.com/ramainen/doit-socket/internal/natstest"
)

// Every kind of credentials connects. Wrong or missing ones do not.
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
		"--nats-url is missing":                    {NatsURL: " , "},
		"no list of addresses":                     {NatsURL: "127.0.0.1, nats://name:so/secret@127.0.0.1:4222"},
		"more than one is set":                     {NatsURL: url, NatsNkey: "a", NatsUser: "b", NatsPassword: "c"},
		"--nats-user and --nats-password only one": {NatsURL: url, NatsUser: "b"},
		"--nats-cert and --nats-key only one":      {NatsURL: url, NatsCert: "b"},
		"--nats-creds names a file":                {NatsURL: url, NatsCreds: missing},
		"--nats-ca names a file":                   {NatsURL: url, NatsCA: missing},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
	}
}

// --nats-ca makes a private authority trusted, and a server that requires a
// client certificate gets it.
func TestBusTLS(t *testing.T) {
	dir := t.TempDir()
	caKey, ca := certificate(t, nil, nil)
	serverKey, serverCert := certificate(t, ca, caKey)
	clientKey, clientCert := certificate(t, ca, caKey)
	file := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	keyBytes, err := x509.MarshalPKCS8PrivateKey(clientKey)
	if err != nil {
		t.Fatal(err)
	}
	caFile, certFile, keyFile := file("ca.pem", "CERTIFICATE", ca.Raw), file("cert.pem", "CERTIFICATE", clientCert.Raw), file("key.pem", "PRIVATE KEY", keyBytes)
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	s := natstest.Start(t, func(o *server.Options) {
		o.TLS, o.TLSTimeout = true, 5
		o.TLSConfig = &tls.Config{
			MinVersion:   tls.VersionTLS13,
			Certificates: []tls.Certificate{{Certificate: [][]byte{serverCert.Raw}, PrivateKey: serverKey}},
			ClientCAs:    pool, ClientAuth: tls.RequireAndVerifyClientCert,
		}
	})
	c := BusConfig{NatsURL: s.ClientURL(), NatsCA: caFile, NatsCert: certFile, NatsKey: keyFile}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	nc, err := logged(t.Output()).ConnectBus(c, "test", func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	natstest.Await(t, "the connection", nc.IsConnected)
	Drain(nc)
	for name, c := range map[string]BusConfig{
		"an authority unknown": {NatsURL: s.ClientURL(), NatsCert: certFile, NatsKey: keyFile},
		"no certificate":       {NatsURL: s.ClientURL(), NatsCA: caFile},
	} {
		opts, err := c.options()
		if err != nil {
			t.Fatal(err)
		}
		if nc, err := nats.Connect(c.NatsURL, opts...); err == nil {
			nc.Close()
			t.Errorf("%s: connected", name)
		}
	}
}

// certificate makes a key and a certificate for 127.0.0.1, signed by an authority, or one itself.
func certificate(t *testing.T, ca *x509.Certificate, caKey *ecdsa.PrivateKey) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	if ca == nil {
		about.IsCA, about.BasicConstraintsValid, about.KeyUsage = true, true, x509.KeyUsageCertSign
		ca, caKey = about, key
	}
	der, err := x509.CreateCertificate(rand.Reader, about, ca, key.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, cert
}

// Credentials as nsc writes them open a server that trusts their operator.
func TestCredentialsFile(t *testing.T) {
	operator, account, user := keys(t, nkeys.CreateOperator), keys(t, nkeys.CreateAccount), keys(t, nkeys.CreateUser)
	signed := func(claims interface {
		Encode(nkeys.KeyPair) (string, error)
	}, by nkeys.KeyPair) string {
		text, err := claims.Encode(by)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	public := func(k nkeys.KeyPair) string {
		text, err := k.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	operatorClaims := jwt.NewOperatorClaims(public(operator))
	signed(operatorClaims, operator)
	s := natstest.Start(t, func(o *server.Options) {
		o.TrustedOperators = []*jwt.OperatorClaims{operatorClaims}
		resolver := &server.MemAccResolver{}
		if err := resolver.Store(public(account), signed(jwt.NewAccountClaims(public(account)), operator)); err != nil {
			t.Fatal(err)
		}
		o.AccountResolver = resolver
	})
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	creds, err := jwt.FormatUserConfig(signed(jwt.NewUserClaims(public(user)), account), seed)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "gateway.creds")
	if err := os.WriteFile(path, creds, 0o600); err != nil {
		t.Fatal(err)
	}
	nc, err := logged(t.Output()).ConnectBus(BusConfig{NatsURL: s.ClientURL(), NatsCreds: path}, "test", func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	natstest.Await(t, "the connection", nc.IsConnected)
	Drain(nc)
}

func keys(t *testing.T, create func() (nkeys.KeyPair, error)) nkeys.KeyPair {
	t.Helper()
	k, err := create()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// The private /readyz and a metric name the NATS server of a connection.
func TestWhereabouts(t *testing.T) {
	s := natstest.Start(t, func(o *server.Options) { o.ServerName = "nats-7" })
	p := logged(t.Output())
	nc, err := p.ConnectBus(BusConfig{NatsURL: s.ClientURL()}, "gateway", func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	natstest.Await(t, "the connection", nc.IsConnected)
	admin, err := listen.Bind("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Shutdown()
	admin.Serve(p.Admin, p.Log, func(err error) { t.Error(err) })
	if _, body := get(t, admin.URL()+"/readyz"); !strings.Contains(body, "nats-7 at "+s.ClientURL()) {
		t.Errorf("/readyz: %s", body)
	}
	if _, body := get(t, admin.URL()+"/metrics"); !strings.Contains(body, `doit_nats_server_info{cluster="",connection="gateway",server="nats-7"} 1`) {
		t.Errorf("/metrics: %s", body)
	}
	Drain(nc)
	if _, body := get(t, admin.URL()+"/readyz"); !strings.Contains(body, "not connected") {
		t.Errorf("/readyz: %s", body)
	}
}
