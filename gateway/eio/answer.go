package eio

import (
	"encoding/json"
	"net/http"
)

// A protocolError is the JSON answer to a request that the protocol does not
// know. Codes and texts are those of Node's server.
type protocolError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

var (
	errTransport  = protocolError{0, "Transport unknown"}
	errSession    = protocolError{1, "Session ID unknown"}
	errMethod     = protocolError{2, "Bad handshake method"}
	errBadRequest = protocolError{3, "Bad request"}
	errRevision   = protocolError{5, "Unsupported protocol version"}
)

const codeForbidden = 4 // refusal.go says why

func refuse(w http.ResponseWriter, e protocolError) { answerError(w, http.StatusBadRequest, e) }

func answerError(w http.ResponseWriter, status int, e protocolError) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(e)
}

// allowOrigin answers for CORS. Old pages ask with credentials, for which a
// browser does not accept "*": the origin is echoed. Nothing here reads a
// cookie, so a page of any origin gets only what it could get without one.
func allowOrigin(w http.ResponseWriter, r *http.Request) {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Credentials", "true")
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", "GET, POST")
		h.Set("Access-Control-Allow-Headers", "Content-Type")
		h.Set("Access-Control-Max-Age", "86400")
	}
}
