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

// clusterName is what every box of a cluster is called in its certificate,
// whatever address it is reached at.
const clusterName = "doit-socket"

// rounds make it slow to try secrets; it is some tenths of a second for each.
const rounds = 600_000

// identity returns the TLS by which boxes that share a secret know each other,
// on both ends of a connection.
//
// The secret makes the key of an authority, the same on all boxes; it signs a
// certificate for this one, whose key is new at each start. So a secret is all
// that an operator has to hand out. Certificates of the authority need not be
// the same bytes: its name and key are what is compared.
func identity(secret string) (*tls.Config, error) {
	seed, err := pbkdf2.Key(sha256.New, secret, []byte("doit-socket cluster"), rounds, ed25519.SeedSize)
	if err != nil {
		return nil, fmt.Errorf("derive the cluster's key: %w", err)
	}
	authority := ed25519.NewKeyFromSeed(seed)
	about := x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: clusterName},
		// A box whose clock is wrong is in the cluster all the same.
		NotBefore: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:  time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	ca := about
	ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = true, true, x509.KeyUsageCertSign
	root, err := sign(&ca, &ca, authority.Public(), authority)
	if err != nil {
		return nil, err
	}

	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	box := about
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

func sign(about, by *x509.Certificate, public any, key ed25519.PrivateKey) (*x509.Certificate, error) {
	raw, err := x509.CreateCertificate(rand.Reader, about, by, public, key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate for the cluster: %w", err)
	}
	return x509.ParseCertificate(raw)
}
