package eio

import (
	"net/http"
	"strings"
)

// NodeLength is the length of a node's name in session ids.
const NodeLength = 16

// idLength is the length of what follows it.
const idLength = 20

// foreign returns the node to which the session id belongs, if that is another
// one. The id is a stranger's word, and what is returned goes into the name of
// a subject: it is a name that a node can have, or nothing.
func (srv *Server) foreign(sid string) (node string) {
	if srv.Pass == nil || len(sid) != NodeLength+idLength {
		return ""
	}
	node = sid[:NodeLength]
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

func (srv *Server) pass(w http.ResponseWriter, r *http.Request, node string) {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		refuse(w, errMethod)
		return
	}
	if !srv.Pass(w, r, node) {
		refuse(w, errSession)
	}
}
