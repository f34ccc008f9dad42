package browser

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

// withClient holds bundles of the shape that those of the npm package have.
func withClient() fs.FS {
	return fstest.MapFS{
		"dist/socket.io.min.js":     {Data: []byte("/*! client */this.io=1\n//# sourceMappingURL=socket.io.min.js.map\n")},
		"dist/socket.io.esm.min.js": {Data: []byte("/*! client */let $t=1;export{Z as Fetch,$t as connect,$t as io,p as protocol};\n//# sourceMappingURL=socket.io.esm.min.js.map\n")},
	}
}

func TestScriptIsTheClientAndReregister(t *testing.T) {
	repeat := strings.TrimSpace(string(reregister))
	for path, want := range map[string][]string{
		"/socket.io/socket.io.js":              {"\n/*! client */this.io=1\n", repeat, "return doitRepeat(module.exports);\n"},
		"/push/socket.io/socket.io.min.js":     {"\n/*! client */this.io=1\n", repeat, "return doitRepeat(module.exports);\n"},
		"/push/socket.io/socket.io.esm.min.js": {"/*! client */let $t=1;export{Z as Fetch,", repeat, "\ndoitRepeat($t);\n"},
	} {
		response := get(t, script(withClient()), path)
		rest := response.Body.String()
		for _, part := range want {
			_, behind, found := strings.Cut(rest, part)
			if !found {
				t.Errorf("%s lacks %.60q, or has it too early", path, part)
			}
			rest = behind
		}
		if body := response.Body.String(); response.Code != http.StatusOK || strings.Contains(body, "sourceMappingURL") || strings.Contains(body, "/* CLIENT */") {
			t.Errorf("%s: status %d, %s", path, response.Code, body)
		}
		expectHeader(t, response, "Content-Type", "text/javascript; charset=utf-8")
		expectHeader(t, response, "Cache-Control", "public, max-age=3600")
		expectHeader(t, response, "Access-Control-Allow-Origin", "*")
		expectHeader(t, response, "Cross-Origin-Resource-Policy", "cross-origin")
		expectHeader(t, response, "X-Content-Type-Options", "nosniff")
	}
}

// What is not served is not served as something else, and the answer says what to load.
func TestScriptsThatAreNotServed(t *testing.T) {
	for name, want := range map[string]string{
		"socket.io.msgpack.min.js":     "default encoding",
		"socket.io.msgpack.min.js.map": "no source maps",
		"socket.io.js.map":             "no source maps",
		"socket.io.min.js.map":         "no source maps",
		"socket.io.esm.min.js.map":     "no source maps",
		"socket.io.slim.js":            "no such script",
		"other.js":                     "no such script",
	} {
		response := get(t, script(withClient()), "/socket.io/"+name)
		if response.Code != http.StatusNotFound || !strings.Contains(response.Body.String(), want) {
			t.Errorf("%s: %d %q, want 404 and %q", name, response.Code, response.Body, want)
		}
		expectHeader(t, response, "Content-Type", "text/plain; charset=utf-8")
		expectHeader(t, response, "Cache-Control", "no-cache") // the next version may have it
		expectHeader(t, response, "Access-Control-Allow-Origin", "*")
	}
}

func TestScriptIsOnTheCDNWhenTheBuildHasNone(t *testing.T) {
	none := fstest.MapFS{"dist/.gitignore": {}}
	for name, bundle := range map[string]string{
		"socket.io.js": "socket.io.min.js", "socket.io.min.js": "socket.io.min.js", "socket.io.esm.min.js": "socket.io.esm.min.js",
	} {
		response := get(t, script(none), "/socket.io/"+name)
		if response.Code != http.StatusFound {
			t.Errorf("%s: status %d", name, response.Code)
		}
		expectHeader(t, response, "Location", "https://cdn.socket.io/"+strings.TrimSpace(version)+"/"+bundle)
		expectHeader(t, response, "Access-Control-Allow-Origin", "*")
		expectHeader(t, response, "Cache-Control", "") // the next build may have it
	}
	if embedded(none) || !embedded(withClient()) {
		t.Error("the page is told the wrong place of the script")
	}
	if response := get(t, script(none), "/socket.io/socket.io.msgpack.min.js"); response.Code != http.StatusNotFound {
		t.Errorf("msgpack: status %d", response.Code)
	}
}

// A module whose export of io is not found is not served without the repeat of register.
func TestModuleOfAnotherShape(t *testing.T) {
	odd := fstest.MapFS{"dist/socket.io.esm.min.js": {Data: []byte("export default 1")}}
	if response := get(t, script(odd), "/socket.io/socket.io.esm.min.js"); response.Code != http.StatusFound || embedded(odd) {
		t.Errorf("status %d", response.Code)
	}
}

func TestVersionIsOneRelease(t *testing.T) {
	if !regexp.MustCompile(`^4\.\d+\.\d+\n$`).MatchString(version) {
		t.Errorf("VERSION holds %q", version)
	}
}

// The embedded script has the version to which the redirect leads, and the checksums that are pinned. A build without
// the script redirects to the CDN.
func TestFetchedClientIsTheOneNamed(t *testing.T) {
	sums, err := os.ReadFile("SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	for name := range variants {
		client, err := fs.ReadFile(dist, "dist/"+name)
		if err != nil {
			if response := get(t, Script(), "/socket.io/"+name); response.Code != http.StatusFound || Embedded() {
				t.Errorf("status %d without a client", response.Code)
			}
			continue
		}
		sum := sha256.Sum256(client)
		if line := hex.EncodeToString(sum[:]) + "  " + name + "\n"; !strings.Contains(string(sums), line) {
			t.Errorf("dist/%s has another checksum than SHA256SUMS: remove it and run fetch.sh", name)
		}
		if want := "Socket.IO v" + strings.TrimSpace(version); !strings.Contains(string(client[:200]), want) {
			t.Errorf("dist/%s is not %q: SHA256SUMS is of another version than VERSION", name, want)
		}
		if response := get(t, Script(), "/socket.io/"+name); response.Code != http.StatusOK {
			t.Errorf("%s: status %d: what fetch.sh got cannot be joined with reregister.js", name, response.Code)
		}
	}
}
