package eio

import (
	"net/http"
	"strings"

	"github.com/ramainen/doit-socket/gateway/ws"
)

// NodeLength is the length of the node name at the beginning of a session id,
// in bytes.
const NodeLength = 16

// idLength is the length of the random rest of a session id, in bytes.
const idLength = 20

// foreign returns the name of the node that holds session sid. It returns "" if
// that is this node, or if sid is not a valid id. The check is necessary: sid
// comes from the browser, and the name becomes part of a NATS subject.
func (srv *Server) foreign(sid string) (node string) {
	if srv.Pass == nil || len(sid) != NodeLength+idLength {
		return ""
	}
	node = strings.Clone(sid[:NodeLength]) // it may be kept for as long as a websocket lives, and sid is a part of the whole request line
	if node == srv.Node || strings.Trim(node, "0123456789abcdef") != "" {
		return ""
	}
	for _, c := range []byte(sid[NodeLength:]) {
		letter := c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		if !letter && c != '-' && c != '_' {
			return ""
		}
	}
	return node
}

// pass passes a request to the node that holds its session.
func (srv *Server) pass(w http.ResponseWriter, r *http.Request, node string) {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		refuse(w, errMethod)
		return
	}
	if name := ws.Subprotocol(r.Header); name != "" {
		r.Header.Set("Sec-WebSocket-Protocol", name) // all that are offered might be too long for that node
	} else {
		r.Header.Del("Sec-WebSocket-Protocol")
	}
	if !srv.Pass(w, r, node) {
		refuse(w, errSession)
	}
}
