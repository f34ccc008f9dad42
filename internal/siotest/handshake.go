package siotest

import (
	"fmt"

	"github.com/gobwas/ws"
)

// UpgradeHeaders are what asks a server for a websocket.
const UpgradeHeaders = "Connection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

// Handshake returns the request that opens a websocket at a target, which is path and query.
func Handshake(host, target string) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", target, host, UpgradeHeaders)
}

// Frame returns a packet as a browser sends it: a masked text frame.
func Frame(packet string) []byte {
	return ws.MustCompileFrame(ws.MaskFrameInPlace(ws.NewTextFrame([]byte(packet))))
}
