// Package browser serves what a browser loads from this server: the Socket.IO client script, the page at / and its
// icon.
//
// The client script is not in the repository: fetch.sh downloads it to dist before the build. A binary that was built
// without it redirects browsers to Socket.IO's CDN, and the page says so.
package browser

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"net/http"
	"time"
)

var (
	//go:embed index.html
	markup []byte
	//go:embed page.css
	style []byte
	//go:embed page.js
	behaviour []byte
	//go:embed favicon.ico
	favicon []byte
)

// index is the whole page, in one file, so that it needs no further route.
var index = bytes.Replace(bytes.Replace(markup, []byte("/* STYLE */\n"), style, 1), []byte("/* SCRIPT */\n"), behaviour, 1)

// Routes returns the handlers of the page and its icon, by path. open is that of [Page].
func Routes(open bool) map[string]http.Handler {
	return map[string]http.Handler{"/": Page(open), "/favicon.ico": Favicon()}
}

// Page serves the page at /. If open is true, the page lets the visitor register and emit: it needs open mode and /emit
// at the same address. Otherwise it only explains the server. The page finds the server by its own address, so it may be
// below a prefix.
func Page(open bool) http.Handler { return page(open, Embedded()) }

func page(open, embedded bool) http.Handler {
	header := http.Header{}
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-cache")
	header.Set("Referrer-Policy", "no-referrer")
	body, cdn := index, ""
	if open {
		body = bytes.Replace(body, []byte(closedMark), []byte(openMark), 1)
	}
	if !embedded {
		body = bytes.Replace(body, []byte(ownMark), []byte(cdnMark), 1)
		cdn = " https://cdn.socket.io"
	}
	// ws: and wss: are for browsers in which 'self' does not include websockets.
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; "+
		"script-src 'self' 'unsafe-inline'"+cdn+"; connect-src 'self' ws: wss:; img-src 'self'; "+
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	return static(header, body)
}

// Marks in index.html, which page replaces: the open mode, and where the client script comes from.
const (
	closedMark = `data-open="false"`
	openMark   = `data-open="true"`
	ownMark    = `data-script="own"`
	cdnMark    = `data-script="cdn"`
)

// Favicon serves the icon; it belongs at /favicon.ico.
func Favicon() http.Handler {
	header := http.Header{}
	header.Set("Content-Type", "image/x-icon")
	header.Set("Cache-Control", "public, max-age=86400")
	return static(header, favicon)
}

func static(header http.Header, body []byte) http.Handler {
	sum := sha256.Sum256(body)
	header.Set("ETag", `"`+base64.RawURLEncoding.EncodeToString(sum[:12])+`"`)
	return readOnly(header, func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Range") // ServeContent would answer thousands of ranges in one request
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	})
}

func readOnly(header http.Header, serve http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
			return
		}
		for name, values := range header {
			w.Header()[name] = values
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		serve(w, r)
	})
}
