// doit-socket is ingest, gateway and nats-server in one process on one port. The programs gateway and
// ingest are the same code beside a NATS server.
//
// It is at the module's root so that `go install` gives it its name.
package main

import "github.com/ramainen/doit-socket/embedded/box"

func main() { box.Main() }
