package ws

import (
	"net/http"
	"strings"
)

// maxSubprotocol is the length of the longest subprotocol that is selected, in
// bytes. Some clients send a token of theirs as one.
const maxSubprotocol = 4 << 10

// Subprotocol returns the subprotocol that the answer to a handshake selects: the
// first one that the browser offers, as Node's server selects it. A browser fails
// a connection for which it has offered some, and none is selected. It returns ""
// if none is offered, or if the first is not a token or is longer than 4 KiB.
func Subprotocol(request http.Header) string {
	first, _, _ := strings.Cut(request.Get(subprotocolHeader), ",")
	first = strings.Trim(first, " \t")
	if len(first) > maxSubprotocol || !IsToken(first) {
		return ""
	}
	return first
}

const subprotocolHeader = "Sec-Websocket-Protocol"

// IsToken reports whether s is a token of HTTP (RFC 9110, 5.6.2), such as the
// name of a header.
func IsToken(s string) bool {
	for _, c := range []byte(s) {
		letter := c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		if !letter && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}
