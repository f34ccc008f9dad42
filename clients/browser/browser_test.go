package browser

import (
	"encoding/binary"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

func do(t *testing.T, h http.Handler, method string, header http.Header) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, "/", nil)
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func get(t *testing.T, h http.Handler) *httptest.ResponseRecorder {
	t.Helper()
	return do(t, h, http.MethodGet, nil)
}

func withClient(client string) fs.FS {
	return fstest.MapFS{"dist/socket.io.min.js": {Data: []byte(client)}}
}

func handlers() map[string]http.Handler {
	return map[string]http.Handler{
		"script":              script(withClient("client")),
		"script from the CDN": script(fstest.MapFS{}),
		"the script as built": Script(),
		"page of open mode":   Page(true),
		"page that explains":  Page(false),
		"icon":                Favicon(),
	}
}

func expectHeader(t *testing.T, response *httptest.ResponseRecorder, name, want string) {
	t.Helper()
	if got := response.Header().Get(name); got != want {
		t.Errorf("%s: %q, want %q", name, got, want)
	}
}

func TestScriptIsTheClientAndReregister(t *testing.T) {
	response := get(t, script(withClient("/*! client */io=1\n//# sourceMappingURL=socket.io.min.js.map\n")))
	body := response.Body.String()
	if want := "/*! client */io=1\n;\n" + string(reregister); body != want {
		t.Errorf("body begins %.60q, want %.60q", body, want)
	}
	if response.Code != http.StatusOK {
		t.Errorf("status %d", response.Code)
	}
	expectHeader(t, response, "Content-Type", "text/javascript; charset=utf-8")
	expectHeader(t, response, "Cache-Control", "public, max-age=3600")
	expectHeader(t, response, "Access-Control-Allow-Origin", "*")
	expectHeader(t, response, "X-Content-Type-Options", "nosniff")
}

func TestScriptIsOnTheCDNWhenTheBuildHasNone(t *testing.T) {
	response := get(t, script(fstest.MapFS{"dist/.gitignore": {}}))
	if response.Code != http.StatusFound {
		t.Errorf("status %d", response.Code)
	}
	expectHeader(t, response, "Location", "https://cdn.socket.io/"+strings.TrimSpace(version)+"/socket.io.min.js")
	expectHeader(t, response, "Access-Control-Allow-Origin", "*")
	expectHeader(t, response, "Cache-Control", "") // the next build may have it
}

func TestVersionIsOneRelease(t *testing.T) {
	if !regexp.MustCompile(`^4\.\d+\.\d+\n$`).MatchString(version) {
		t.Errorf("VERSION holds %q", version)
	}
}

// The embedded script has the version to which the redirect leads. A build without the script redirects to the CDN.
func TestFetchedClientIsTheOneNamed(t *testing.T) {
	client, err := fs.ReadFile(dist, "dist/socket.io.min.js")
	if err != nil {
		if response := get(t, Script()); response.Code != http.StatusFound {
			t.Errorf("status %d without a client", response.Code)
		}
		return
	}
	if want := "Socket.IO v" + strings.TrimSpace(version); !strings.Contains(string(client[:200]), want) {
		t.Errorf("dist/socket.io.min.js is not %q: remove it and run fetch.sh", want)
	}
}

func TestETag(t *testing.T) {
	tags := map[string]string{}
	for name, h := range handlers() {
		response := get(t, h)
		if response.Code != http.StatusOK {
			continue // the redirect has none
		}
		tag := response.Header().Get("ETag")
		if again := do(t, h, http.MethodGet, http.Header{"If-None-Match": {tag}}); again.Code != http.StatusNotModified || again.Body.Len() > 0 {
			t.Errorf("%s: status %d and %d bytes for its own ETag %s", name, again.Code, again.Body.Len(), tag)
		}
		if other := tags[tag]; other != "" {
			t.Errorf("%s and %s share the ETag %s", name, other, tag)
		}
		tags[tag] = name
	}
}

func TestMethods(t *testing.T) {
	for name, h := range handlers() {
		want := get(t, h)
		head := do(t, h, http.MethodHead, nil)
		if head.Code != want.Code || head.Body.Len() > 0 || head.Header().Get("Content-Type") != want.Header().Get("Content-Type") {
			t.Errorf("%s: HEAD answers %d, %q and %d bytes", name, head.Code, head.Header().Get("Content-Type"), head.Body.Len())
		}
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
			response := do(t, h, method, nil)
			if response.Code != http.StatusMethodNotAllowed || response.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("%s: %s answers %d, Allow %q", name, method, response.Code, response.Header().Get("Allow"))
			}
		}
	}
}

func TestPageIsToldTheMode(t *testing.T) {
	root := regexp.MustCompile(`<html [^>]*data-open="(true|false)"`)
	for open, want := range map[bool]string{true: "true", false: "false"} {
		response := get(t, Page(open))
		expectHeader(t, response, "Content-Type", "text/html; charset=utf-8")
		expectHeader(t, response, "Cache-Control", "no-cache")
		if got := root.FindStringSubmatch(response.Body.String()); got == nil || got[1] != want {
			t.Errorf("Page(%t): the root element says %q", open, got)
		}
	}
}

// The page loads nothing from other servers. The link to the sources is not loaded.
func TestPageNeedsNothingFromElsewhere(t *testing.T) {
	for _, match := range regexp.MustCompile(`(?:src|<link[^>]*href|url\(|@import|action)\s*=?\s*["'(]?\s*((?:https?:)?//[^"')\s]*)`).FindAllStringSubmatch(string(index), -1) {
		t.Errorf("the page loads %s", match[1])
	}
	response := get(t, Page(true))
	if policy := response.Header().Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; ") {
		t.Errorf("Content-Security-Policy: %s", policy)
	}
}

func TestFavicon(t *testing.T) {
	response := get(t, Favicon())
	expectHeader(t, response, "Content-Type", "image/x-icon")
	icon := response.Body.Bytes()
	if len(icon) < 6 || binary.LittleEndian.Uint16(icon[2:]) != 1 {
		t.Fatalf("no icon: % x", icon[:min(len(icon), 6)])
	}
	for i := range int(binary.LittleEndian.Uint16(icon[4:])) {
		entry := icon[6+16*i:]
		size, offset := binary.LittleEndian.Uint32(entry[8:]), binary.LittleEndian.Uint32(entry[12:])
		if int(offset)+int(size) > len(icon) {
			t.Errorf("picture %d of %d bytes at %d lies outside the file", i, size, offset)
		}
	}
}

// Ranges are ignored: thousands of them fit into one request.
func TestRanges(t *testing.T) {
	w := do(t, Favicon(), http.MethodGet, http.Header{"Range": {"bytes=-1,-1,-1"}})
	if w.Code != http.StatusOK || w.Body.String() != string(favicon) {
		t.Errorf("%d, %d bytes", w.Code, w.Body.Len())
	}
}
