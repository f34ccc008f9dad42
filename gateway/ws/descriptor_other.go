//go:build !unix

package ws

import "errors"

// descriptors: on Windows a websocket is read and written as one with TLS is anywhere.
const descriptors = false

func receive(int, []byte) (int, error) { return 0, errors.ErrUnsupported }
func send(int, []byte) (int, error)    { return 0, errors.ErrUnsupported }
