package eio

import (
	"maps"
	"slices"
)

// A Reason says why a session ended. There are few, so a Reason may label a
// metric.
type Reason string

// The reasons for which this package closes a session. The layer above may add
// its own.
const (
	ReasonClient    Reason = "client close"    // the browser sent a close packet or closed its websocket
	ReasonNetwork   Reason = "network"         // the connection broke
	ReasonTimeout   Reason = "ping timeout"    // a heartbeat did not come in time
	ReasonSlow      Reason = "slow"            // the browser read too slowly
	ReasonMemory    Reason = "memory full"     // the memory for requests and queues is full, and this session had much of it
	ReasonProtocol  Reason = "protocol error"  // the browser violated the protocol
	ReasonUTF8      Reason = "not utf-8"       // the browser sent websocket text that is not UTF-8
	ReasonTooLarge  Reason = "too large"       // the browser sent a message or body larger than MaxPayload
	ReasonFrames    Reason = "too many frames" // the browser exceeded MaxFrames
	ReasonServer    Reason = "server shutdown" // this server drains or closes
	ReasonPanicking Reason = "internal error"  // a handler panicked; the log has the stack trace
)

// closeCodes are the websocket close codes for the reasons (RFC 6455, 7.4.1).
var closeCodes = map[Reason]uint16{
	ReasonClient:    closeNormal,
	ReasonNetwork:   closeNormal,
	ReasonTimeout:   closePolicy,
	ReasonSlow:      closePolicy,
	ReasonMemory:    closeRetry,
	ReasonProtocol:  1002,
	ReasonUTF8:      1007,
	ReasonTooLarge:  1009,
	ReasonFrames:    closePolicy,
	ReasonServer:    1001, // going away
	ReasonPanicking: 1011,
}

const (
	closeNormal uint16 = 1000
	closePolicy uint16 = 1008
	closeRetry  uint16 = 1013 // try again later (the registry of RFC 6455, 11.7)
)

// Reasons returns the reasons of this package, sorted.
func Reasons() []Reason { return slices.Sorted(maps.Keys(closeCodes)) }

// closeCode returns the websocket close code; that of a reason of the layer
// above is closeNormal.
func (r Reason) closeCode() uint16 {
	if code, ours := closeCodes[r]; ours {
		return code
	}
	return closeNormal
}
