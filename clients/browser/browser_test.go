package browser

import (
	"encoding/binary"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/ramainen/doit-socket/internal/wire"
)

func do(t *testing.T, h http.Handler, method, path string, header http.Header) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func get(t *testing.T, h http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	return do(t, h, http.MethodGet, path, nil)
}

// handlers are all that this package serves, by a name and the path that a request has.
func handlers() map[string]http.Handler {
	at := func(path string, h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.URL.Path = path
			h.ServeHTTP(w, r)
		})
	}
	return map[string]http.Handler{
		"script":              at("/socket.io/socket.io.js", script(withClient())),
		"module":              at("/socket.io/socket.io.esm.min.js", script(withClient())),
		"script from the CDN": at("/socket.io/socket.io.js", script(fstest.MapFS{})),
		"the script as built": at("/socket.io/socket.io.js", Script()),
		"page of open mode":   page(true, true),
		"page that explains":  page(false, true),
		"page with the CDN":   page(true, false),
		"icon":                Favicon(),
	}
}

func expectHeader(t *testing.T, response *httptest.ResponseRecorder, name, want string) {
	t.Helper()
	if got := response.Header().Get(name); got != want {
		t.Errorf("%s: %q, want %q", name, got, want)
	}
}

func TestETag(t *testing.T) {
	tags := map[string]string{}
	for name, h := range handlers() {
		response := get(t, h, "/")
		if response.Code != http.StatusOK {
			continue // the redirect has none
		}
		tag := response.Header().Get("ETag")
		if again := do(t, h, http.MethodGet, "/", http.Header{"If-None-Match": {tag}}); again.Code != http.StatusNotModified || again.Body.Len() > 0 {
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
		want := get(t, h, "/")
		head := do(t, h, http.MethodHead, "/", nil)
		if head.Code != want.Code || head.Body.Len() > 0 || head.Header().Get("Content-Type") != want.Header().Get("Content-Type") {
			t.Errorf("%s: HEAD answers %d, %q and %d bytes", name, head.Code, head.Header().Get("Content-Type"), head.Body.Len())
		}
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
			response := do(t, h, method, "/", nil)
			if response.Code != http.StatusMethodNotAllowed || response.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("%s: %s answers %d, Allow %q", name, method, response.Code, response.Header().Get("Allow"))
			}
		}
	}
}

func TestPageIsToldTheModeAndTheScript(t *testing.T) {
	root := regexp.MustCompile(`<html [^>]*data-open="(true|false)" data-script="(own|cdn)"`)
	for _, open := range []string{"true", "false"} {
		for _, from := range []string{"own", "cdn"} {
			response := get(t, page(open == "true", from == "own"), "/")
			expectHeader(t, response, "Content-Type", "text/html; charset=utf-8")
			expectHeader(t, response, "Cache-Control", "no-cache")
			if got := root.FindStringSubmatch(response.Body.String()); got == nil || got[1] != open || got[2] != from {
				t.Errorf("open %s, script %s: the root element says %q", open, from, got)
			}
			policy := response.Header().Get("Content-Security-Policy")
			if strings.Contains(policy, "cdn.socket.io") != (from == "cdn") {
				t.Errorf("script %s: the policy is %s", from, policy)
			}
		}
	}
}

// The page loads nothing from other servers, and nothing by an absolute path, so that it may be below a prefix. The link
// to the sources is not loaded.
func TestPageNeedsNothingFromElsewhere(t *testing.T) {
	for _, match := range regexp.MustCompile(`(?:src|<link[^>]*href|url\(|@import|action)\s*=?\s*["'(]?\s*((?:https?:)?/[^"')\s]*)`).FindAllStringSubmatch(string(index), -1) {
		t.Errorf("the page loads %s", match[1])
	}
	response := get(t, Page(true), "/")
	if policy := response.Header().Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; ") {
		t.Errorf("Content-Security-Policy: %s", policy)
	}
}

// The page says itself which names and ids the server refuses, in the visitor's language.
func TestPageKnowsWhatIsRefused(t *testing.T) {
	list := regexp.MustCompile(`var reserved = \[(.*)\];`).FindSubmatch(index)
	if list == nil {
		t.Fatal("the page has no list of reserved names")
	}
	names := strings.Split(strings.Trim(string(list[1]), "'"), "', '")
	for _, name := range names {
		if !wire.Reserved(name) {
			t.Errorf("the page refuses %q, which is not reserved", name)
		}
	}
	if len(names) != 6 {
		t.Errorf("the page refuses %d names: %q", len(names), names)
	}
	if wire.MaxID != 256 || !strings.Contains(string(index), "length > 256") {
		t.Errorf("an id has %d bytes at most: the page says another number", wire.MaxID)
	}
}

// What one language can say, the other can.
func TestPageSaysEverythingInBothLanguages(t *testing.T) {
	words := func(lang string) (keys []string) {
		block := regexp.MustCompile(`(?s)\n    ` + lang + `: \{\n(.*?)\n    \}`).FindSubmatch(index)
		if block == nil {
			t.Fatalf("the page has no words of %s", lang)
		}
		for _, key := range regexp.MustCompile(`(?:^|, |,\n|\n)\s*(\w+): '`).FindAllSubmatch(block[1], -1) {
			keys = append(keys, string(key[1]))
		}
		return keys
	}
	ru, en := words("ru"), words("en")
	if strings.Join(ru, " ") != strings.Join(en, " ") || len(ru) < 20 {
		t.Errorf("ru: %q\nen: %q", ru, en)
	}
	for _, part := range []string{"<main>", "<footer>"} {
		from := strings.Index(string(index), part)
		text := string(index[from:strings.Index(string(index), strings.Replace(part, "<", "</", 1))])
		if ru, en := strings.Count(text, `lang="ru"`), strings.Count(text, `lang="en"`); ru == 0 || ru != en {
			t.Errorf("%s has %d texts in Russian and %d in English", part, ru, en)
		}
	}
}

func TestFavicon(t *testing.T) {
	response := get(t, Favicon(), "/")
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
	w := do(t, Favicon(), http.MethodGet, "/", http.Header{"Range": {"bytes=-1,-1,-1"}})
	if w.Code != http.StatusOK || w.Body.String() != string(favicon) {
		t.Errorf("%d, %d bytes", w.Code, w.Body.Len())
	}
}
