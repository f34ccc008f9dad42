//go:build linux

package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
)

// A build is where the programs of this repository are built.
type build struct {
	root string // of the repository
	dir  string
}

// newBuild builds ours, and the nats-server that go.mod pins.
func newBuild(ctx context.Context, root string) (*build, error) {
	dir, err := os.MkdirTemp("", "doit-socket-load-")
	if err != nil {
		return nil, fmt.Errorf("build: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", dir+"/",
		"./embedded", "./gateway", "./ingest", "github.com/nats-io/nats-server/v2")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build: %w\n%s", err, out)
	}
	return &build{root: root, dir: dir}, nil
}

func (b *build) remove() { _ = os.RemoveAll(b.dir) }

func (b *build) program(name string) string { return filepath.Join(b.dir, name) }

// manyAddresses lifts the limit of new ids for each address: the browsers of a load are on loopback, and stand for
// browsers of many addresses.
const manyAddresses = "--max-new-ids-per-address=0"

func startEmbedded(b *build) (*server, error) {
	a, err := addresses(2)
	if err != nil {
		return nil, err
	}
	p, err := launch(nil, a, b.program("embedded"), "--listen", a[0].String(), "--admin-listen", a[1].String(), "--log-level", "warn", manyAddresses)
	if err != nil {
		return nil, err
	}
	return &server{dialect: socketIO{a[0]}, processes: ends{p}, sockets: a[0], emits: a[0], admin: a[1]}, nil
}

// startPrograms starts the three programs.
func startPrograms(b *build) (*server, error) {
	s, _, err := startCluster(b, 1)
	return s, err
}

// startCluster starts a nats-server, gateways and an ingest, in this order.
func startCluster(b *build, gateways int) (s *server, sockets []netip.AddrPort, err error) {
	a, err := addresses(2*gateways + 3)
	if err != nil {
		return nil, nil, err
	}
	nats := a[0]
	s = &server{name: "cluster", sockets: a[1], emits: a[len(a)-2], admin: a[2]}
	s.dialect = socketIO{s.emits}
	start := func(listens []netip.AddrPort, name string, args ...string) {
		if err != nil {
			return
		}
		var p *process
		if p, err = launch(nil, listens, b.program(name), args...); err == nil {
			s.processes = append(s.processes, p)
		}
	}
	of := func(at int) []string {
		return []string{"--nats-url", "nats://" + nats.String(), "--listen", a[at].String(), "--admin-listen", a[at+1].String(), "--node", fmt.Sprint("node-", at), "--log-level", "warn"}
	}
	start(a[:1], "nats-server", "-a", nats.Addr().String(), "-p", fmt.Sprint(nats.Port()))
	for i := range gateways {
		start(a[1+2*i:3+2*i], "gateway", append(of(1+2*i), manyAddresses)...)
		sockets = append(sockets, a[1+2*i])
	}
	start(a[len(a)-2:], "ingest", of(len(a)-2)...)
	if err != nil {
		s.processes.stop()
		return nil, nil, err
	}
	return s, sockets, nil
}
