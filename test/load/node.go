//go:build linux

package main

import (
	"fmt"
	"path/filepath"
)

// Node's Socket.IO is in peers/node; `npm ci` installs it.

// startNode starts it on Node's own HTTP server, which is the least that it can cost.
func startNode(b *build) (*server, error) { return startScript(b, "server.js") }

// startExpress starts it on Express 4, as the server that ours succeeds was, and as it is mostly found.
func startExpress(b *build) (*server, error) { return startScript(b, "express.js") }

func startScript(b *build, script string) (*server, error) {
	a, err := addresses(1)
	if err != nil {
		return nil, err
	}
	p, err := launch([]string{"NODE_ENV=production"}, a, "node", filepath.Join(b.root, "test/load/peers/node", script), fmt.Sprint(a[0].Port()))
	if err != nil {
		return nil, err
	}
	return &server{dialect: socketIO{a[0]}, processes: ends{p}, sockets: a[0], emits: a[0]}, nil
}
