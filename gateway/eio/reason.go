package eio

import (
	"maps"
	"slices"
)

// A Reason says why a session ended. The set is closed, so it can label a metric.
type Reason string

// The reasons for which this package closes a session; the layer above may add its own.
const (
	ReasonClient    Reason = "client close"    // the browser said so, or its websocket closed in order
	ReasonNetwork   Reason = "network"         // the connection broke
	ReasonTimeout   Reason = "ping timeout"    // no heartbeat came
	ReasonSlow      Reason = "slow"            // the browser did not take what was sent to it
	ReasonProtocol  Reason = "protocol error"  // it sent what the protocol forbids
	ReasonUTF8      Reason = "not utf-8"       // it sent text on its websocket that is not UTF-8
	ReasonTooLarge  Reason = "too large"       // it sent more than MaxPayload at once
	ReasonFrames    Reason = "too many frames" // it sent more than MaxFrames
	ReasonServer    Reason = "server shutdown" // this server ends
	ReasonPanicking Reason = "internal error"  // a fault of ours, logged
)

// closeCodes are what a websocket is closed with (RFC 6455, 7.4.1).
var closeCodes = map[Reason]uint16{
	ReasonClient:    closeNormal,
	ReasonNetwork:   closeNormal,
	ReasonTimeout:   closePolicy,
	ReasonSlow:      closePolicy,
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
)

// Reasons returns those of this package.
func Reasons() []Reason { return slices.Sorted(maps.Keys(closeCodes)) }

func (r Reason) closeCode() uint16 {
	if code, ours := closeCodes[r]; ours {
		return code
	}
	return closeNormal
}
