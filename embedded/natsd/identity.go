package natsd

import (
	"crypto/ed25519"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"time"
)

// clusterName is the host name in the certificate of every box. Boxes check it instead of the
// address.
const clusterName = "doit-socket"

// keyIterations makes guessing slow: deriving the key of one secret takes some tenths of a second.
const keyIterations = 600_000

// identity returns the TLS configuration, for both ends of a connection, by which boxes that share
// a secret authenticate each other.
//
// The key of a certificate authority is derived from the secret, so it is the same on all boxes.
// The authority signs a certificate for this box, whose key is new at each start. So operators
// distribute nothing but the secret. The authority's own certificate may differ from box to box:
// only its name and its key are compared.
func identity(secret string) (*tls.Config, error) {
	seed, err := pbkdf2.Key(sha256.New, secret, []byte("doit-socket cluster"), keyIterations, ed25519.SeedSize)
	if err != nil {
		return nil, fmt.Errorf("derive the cluster's key: %w", err)
	}
	authority := ed25519.NewKeyFromSeed(seed)
	template := x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: clusterName},
		// Valid at any time, so that a box with a wrong clock can join.
		NotBefore: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:  time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	ca := template
	ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = true, true, x509.KeyUsageCertSign
	root, err := sign(&ca, &ca, authority.Public(), authority)
	if err != nil {
		return nil, err
	}

	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	box := template
	box.DNSNames = []string{clusterName}
	box.KeyUsage = x509.KeyUsageDigitalSignature
	box.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	leaf, err := sign(&box, root, public, authority)
	if err != nil {
		return nil, err
	}

	pool := x509.NewCertPool()
	pool.AddCert(root)
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: private}},
		ServerName:   clusterName,
		RootCAs:      pool,
		ClientCAs:    pool,
		ClientAuth:   tls.RequireAndVerifyClientCert,
	}, nil
}

// sign creates a certificate for public, signed by parent, whose key is key.
func sign(template, parent *x509.Certificate, public any, key ed25519.PrivateKey) (*x509.Certificate, error) {
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate for the cluster: %w", err)
	}
	return x509.ParseCertificate(raw)
}
