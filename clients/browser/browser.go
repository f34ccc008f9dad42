// Package browser serves what a browser loads from this server: the Socket.IO client script, the page at / and its
// icon.
//
// The client script is not in the repository: fetch.sh downloads it to dist before the build. A binary that was built
// without it redirects browsers to Socket.IO's CDN.
package browser

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"io/fs"
	"net/http"
	"regexp"
	"strings"
	"time"
)

var (
	//go:embed VERSION
	version string
	//go:embed all:dist
	dist embed.FS
	//go:embed reregister.js
	reregister []byte
	//go:embed index.html
	index []byte
	//go:embed favicon.ico
	favicon []byte
)

// Script serves the Socket.IO client, followed by reregister.js, which repeats `register` after a reconnect.
// It belongs at /socket.io/socket.io.js and /socket.io/socket.io.min.js.
func Script() http.Handler { return script(dist) }

// sourceMap is removed from the script: the map is not served, and would not match the script once reregister.js is
// appended.
var sourceMap = regexp.MustCompile(`(?m)^//# sourceMappingURL=.*$`)

func script(dist fs.FS) http.Handler {
	header := http.Header{}
	header.Set("Access-Control-Allow-Origin", "*") // for <script crossorigin> in pages of other origins
	client, err := fs.ReadFile(dist, "dist/socket.io.min.js")
	if err != nil {
		target := "https://cdn.socket.io/" + strings.TrimSpace(version) + "/socket.io.min.js"
		return readOnly(header, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, target, http.StatusFound)
		})
	}
	header.Set("Content-Type", "text/javascript; charset=utf-8")
	header.Set("Cache-Control", "public, max-age=3600")
	client = bytes.TrimSpace(sourceMap.ReplaceAll(client, nil))
	return static(header, bytes.Join([][]byte{client, reregister}, []byte("\n;\n")))
}

// Routes returns the handlers of the page and its icon, by path. open is that of [Page].
func Routes(open bool) map[string]http.Handler {
	return map[string]http.Handler{"/": Page(open), "/favicon.ico": Favicon()}
}

// Page serves the page at /. If open is true, the page lets the visitor register and emit: it needs open mode and /emit
// at the same address. Otherwise it only explains the server.
func Page(open bool) http.Handler {
	header := http.Header{}
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-cache")
	header.Set("Referrer-Policy", "no-referrer")
	// Script may redirect to the CDN. ws: and wss: are for browsers in which 'self' does not include websockets.
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; "+
		"script-src 'self' 'unsafe-inline' https://cdn.socket.io; connect-src 'self' ws: wss:; img-src 'self'; "+
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	body := index
	if open {
		body = bytes.Replace(index, []byte(closedMark), []byte(openMark), 1)
	}
	return static(header, body)
}

// Page replaces closedMark by openMark in index.html to enable the open mode.
const (
	closedMark = `data-open="false"`
	openMark   = `data-open="true"`
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
