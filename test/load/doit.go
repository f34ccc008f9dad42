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

// make builds ours, and the nats-server that go.mod pins.
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

func startEmbedded(b *build) (*server, error) {
	a, err := addresses(2)
	if err != nil {
		return nil, err
	}
	p, err := launch(nil, a, b.program("embedded"), "--listen", a[0].String(), "--admin-listen", a[1].String(), "--log-level", "warn")
	if err != nil {
		return nil, err
	}
	return &server{dialect: socketIO{a[0]}, processes: ends{p}, sockets: a[0], emits: a[0], admin: a[1]}, nil
}

// startPrograms starts the three programs: a nats-server, a gateway, an ingest.
func startPrograms(b *build) (*server, error) {
	a, err := addresses(5)
	if err != nil {
		return nil, err
	}
	nats, gateway, ingest := a[0], a[1], a[3]
	var all ends
	for _, program := range []struct {
		listens []netip.AddrPort
		name    string
		args    []string
	}{
		{a[:1], "nats-server", []string{"-a", nats.Addr().String(), "-p", fmt.Sprint(nats.Port())}},
		{a[1:3], "gateway", []string{"--nats-url", "nats://" + nats.String(), "--listen", gateway.String(), "--admin-listen", a[2].String(), "--log-level", "warn"}},
		{a[3:5], "ingest", []string{"--nats-url", "nats://" + nats.String(), "--listen", ingest.String(), "--admin-listen", a[4].String(), "--log-level", "warn"}},
	} {
		p, err := launch(nil, program.listens, b.program(program.name), program.args...)
		if err != nil {
			all.stop()
			return nil, err
		}
		all = append(all, p)
	}
	return &server{dialect: socketIO{ingest}, processes: all, sockets: gateway, emits: ingest, admin: a[2]}, nil
}
