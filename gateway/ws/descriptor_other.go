//go:build !unix

package ws

import "errors"

// usesDescriptors is false on Windows: websockets are read and written through net.Conn.
const usesDescriptors = false

func receive(int, []byte) (int, error) { return 0, errors.ErrUnsupported }
func send(int, []byte) (int, error)    { return 0, errors.ErrUnsupported }
