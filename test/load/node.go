package main

import (
	"fmt"
	"path/filepath"
)

// startNode starts Node's Socket.IO, which is in peers/node. `npm ci` has put it there.
func startNode(b *build) (*server, error) {
	a, err := addresses(1)
	if err != nil {
		return nil, err
	}
	p, err := launch([]string{"NODE_ENV=production"}, a, "node", filepath.Join(b.root, "test/load/peers/node/server.js"), fmt.Sprint(a[0].Port()))
	if err != nil {
		return nil, err
	}
	return &server{dialect: socketIO{a[0]}, processes: ends{p}, sockets: a[0], emits: a[0]}, nil
}
