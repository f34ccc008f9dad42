package browser

import (
	"bytes"
	"embed"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"strings"
)

var (
	//go:embed VERSION
	version string
	//go:embed all:dist
	dist embed.FS
	//go:embed reregister.js
	reregister []byte
	//go:embed umd.js
	umd []byte
)

// Script serves the Socket.IO client, which by reregister.js repeats `register` after a reconnect. It belongs at
// /socket.io/socket.io.js, /socket.io/socket.io.min.js and, for `import`, /socket.io/socket.io.esm.min.js. It looks at
// the last element of the path only, so these may be below a prefix. Any other name is answered 404, and why.
func Script() http.Handler { return script(dist) }

// Embedded reports whether the client is in this binary. If not, [Script] redirects browsers to Socket.IO's CDN, whose
// script does not repeat `register`.
func Embedded() bool { return embedded(dist) }

func embedded(dist fs.FS) bool {
	for name := range variants {
		if _, err := variant(dist, name); err != nil {
			return false
		}
	}
	return true
}

// NotEmbedded tells an operator what it means that the client is not in the binary.
const NotEmbedded = `This binary was built without the client script. Browsers load it from cdn.socket.io,
and a page that registers only once goes deaf after a reconnect. "make run" builds it in.
`

// variants are the bundles of the npm package that are served, and how each is joined with reregister.js.
var variants = map[string]func(client []byte) ([]byte, error){
	"socket.io.min.js":     classic,
	"socket.io.esm.min.js": module,
}

// variant returns what is served of a bundle.
func variant(dist fs.FS, name string) ([]byte, error) {
	client, err := fs.ReadFile(dist, "dist/"+name)
	if err != nil {
		return nil, err
	}
	return variants[name](bytes.TrimSpace(sourceMap.ReplaceAll(client, nil)))
}

// sourceMap is removed from the client: the map is not served, and would not match what is.
var sourceMap = regexp.MustCompile(`(?m)^//# sourceMappingURL=.*$`)

// classic puts the client into umd.js.
func classic(client []byte) ([]byte, error) {
	script := bytes.Replace(umd, []byte("/* CLIENT */"), client, 1)
	return bytes.Replace(script, []byte("/* REPEAT */"), bytes.TrimSpace(reregister), 1), nil
}

// exportOfIO finds the name that `io` has inside the ES module.
var exportOfIO = regexp.MustCompile(`\bexport\s*\{[^}]*?([\w$]+) as io\b[^}]*\}`)

// module appends reregister.js to the ES module.
func module(client []byte) ([]byte, error) {
	local := exportOfIO.FindSubmatch(client)
	if local == nil {
		return nil, fs.ErrInvalid // TestFetchedClientIsTheOneNamed keeps such a client out of a release
	}
	return bytes.Join([][]byte{client, bytes.TrimSpace(reregister), []byte("doitRepeat(" + string(local[1]) + ");\n")}, []byte("\n")), nil
}

func script(dist fs.FS) http.Handler {
	served := make(map[string]http.Handler)
	for name := range variants {
		header := http.Header{}
		header.Set("Access-Control-Allow-Origin", "*")             // for <script crossorigin> and import in pages of other origins
		header.Set("Cross-Origin-Resource-Policy", "cross-origin") // for pages that are isolated by COEP
		source, err := variant(dist, name)
		if err != nil {
			target := "https://cdn.socket.io/" + strings.TrimSpace(version) + "/" + name
			served[name] = readOnly(header, func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, target, http.StatusFound)
			})
			continue
		}
		header.Set("Content-Type", "text/javascript; charset=utf-8")
		header.Set("Cache-Control", "public, max-age=3600")
		served[name] = static(header, source)
	}
	served["socket.io.js"] = served["socket.io.min.js"]
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := path.Base(r.URL.Path)
		if h := served[name]; h != nil {
			h.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Access-Control-Allow-Origin", "*") // else an import is said to fail for want of it
		w.Header().Set("Cache-Control", "no-cache")
		http.Error(w, missing(name), http.StatusNotFound)
	})
}

// missing says why a script is not served, and what to load.
func missing(name string) string {
	const instead = "Load socket.io.js, or import socket.io.esm.min.js."
	switch {
	case strings.HasSuffix(name, ".map"):
		return "There are no source maps here: the script that is served is Socket.IO's client and an addition, which its maps do not fit."
	case strings.Contains(name, "msgpack"):
		return "There is no msgpack client here: this server speaks Socket.IO's default encoding, so that client could not connect. " + instead
	}
	return "There is no such script here. " + instead
}
