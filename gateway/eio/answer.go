package eio

import (
	"encoding/json"
	"net/http"
)

// A protocolError is the JSON answer to a request that violates the protocol.
// Codes and texts are those of Node's server.
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

const codeForbidden = 4 // of every Refusal (refusal.go)

// refuse answers a request that violates the protocol.
func refuse(w http.ResponseWriter, e protocolError) { answerError(w, http.StatusBadRequest, e) }

func answerError(w http.ResponseWriter, status int, e protocolError) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(e)
}
