package eio

import (
	"net/http"
	"strings"

	"github.com/ramainen/doit-socket/gateway/ws"
)

// allowOrigin sets the CORS headers of the answer to a page whose origin is
// allowed. It echoes the origin, because old clients send requests with
// credentials, for which browsers do not accept "*". This gives a page of another
// origin nothing: the server reads no cookies.
func allowOrigin(w http.ResponseWriter, r *http.Request) {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Credentials", "true")
	if r.Method == http.MethodOptions {
		h.Add("Vary", requestHeaders)
		h.Set("Access-Control-Allow-Methods", "GET, POST")
		h.Set("Access-Control-Allow-Headers", allowedHeaders(r.Header.Get(requestHeaders)))
		h.Set("Access-Control-Max-Age", "86400")
	}
}

const requestHeaders = "Access-Control-Request-Headers"

// maxRequestHeaders is the length of the longest list of headers that is allowed,
// in bytes.
const maxRequestHeaders = 4 << 10

// allowedHeaders returns the headers that a page may send: Content-Type, which
// the clients send, and those that its preflight asks for. Pages set some by
// extraHeaders, and tracing adds some to every request. The server reads none of
// them. The value of "*" is not for requests with credentials. If what the
// preflight asks for is not a list of names, or is too long, only Content-Type is
// allowed.
func allowedHeaders(asked string) string {
	const own = "Content-Type"
	if asked == "" || len(asked) > maxRequestHeaders {
		return own
	}
	names := []string{own}
	for name := range strings.SplitSeq(asked, ",") {
		name = strings.Trim(name, " \t")
		if !ws.IsToken(name) {
			return own
		}
		if !strings.EqualFold(name, own) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}
