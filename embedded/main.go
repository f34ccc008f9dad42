// doit-socket, as the module's root has it too: `go run ./embedded`.
package main

import "github.com/ramainen/doit-socket/embedded/box"

func main() { box.Main() }
