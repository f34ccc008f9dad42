//go:build programs

package e2e

import (
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"github.com/ramainen/doit-socket/internal/siotest"
)

// PHP's own curl and file_get_contents, as the original's class used them.
func TestPHP(t *testing.T) {
	server := start(t, "embedded")
	php := func(method, userid, event, json string) string {
		t.Helper()
		out, err := exec.Command("php", "-d", "display_errors=stderr", "testdata/old-class.php", server.URL, method, userid, event, json).CombinedOutput()
		if err != nil {
			t.Fatalf("php: %v\n%s", err, out)
		}
		return string(out)
	}
	vasya := siotest.Dial(t, server.URL, siotest.Options{EIO: 3, Polling: true})
	vasya.Register("вася 😀")
	masha := siotest.Dial(t, server.URL, siotest.Options{})
	masha.Register("masha")

	for _, c := range []struct {
		method, userid, event, json, answer string
		heard                               []any
	}{
		{"emit", "вася 😀", "привет", `{"text":"Вася, 😀","n":[1,2.50,null]}`, "OK",
			[]any{map[string]any{"text": "Вася, 😀", "n": []any{1., 2.5, nil}}}},
		{"emit", `["вася 😀","masha"]`, "both", `"x"`, "OK", []any{"x"}},
		{"emit", "nobody", "e", `1`, "ERROR", nil},
		{"emit", "вася 😀", "empty", `[]`, "OK", []any{[]any{}}},
		{"emit_get", "вася 😀", "get", `{"text":"Вася & Маша","n":1,"list":{"a":"b"}}`, "OK",
			[]any{map[string]any{"text": "Вася & Маша", "n": "1", "list[a]": "b"}}},
		{"emit_get", "вася 😀", "get string", `"просто строка 😀"`, "OK", []any{"просто строка 😀"}},
		{"emit_get", "nobody", "e", `{}`, "OK", nil},
	} {
		if got := php(c.method, c.userid, c.event, c.json); got != c.answer {
			t.Errorf("%s to %s answered %q, want %q", c.method, c.userid, got, c.answer)
		}
		if c.heard == nil {
			continue
		}
		if got := vasya.Next(); got.Name != c.event || !reflect.DeepEqual(got.Args, c.heard) {
			t.Errorf("heard %v, want %s %v", got, c.event, c.heard)
		}
	}
	if got := masha.Next(); got.Name != "both" {
		t.Errorf("the second receiver heard %v", got)
	}
}

// How PHP sends an emit today: JSON as Laravel does, multipart by an array for curl, compressed. And how it sends it
// wrongly: what it is then told.
func TestPHPBodies(t *testing.T) {
	server := start(t, "embedded")
	page := siotest.Dial(t, server.URL, siotest.Options{})
	page.Register([]any{"masha", "76561198000000001", "a b+c"})
	for _, c := range []struct {
		body, userid, json string
		answer, told       string // told is a part of Doit-Error
		heard              any    // nil if nothing is
	}{
		{"json", `"masha"`, `{"text":"Вася, 😀","n":[1,2.5,null]}`, "200 OK", "", map[string]any{"text": "Вася, 😀", "n": []any{1., 2.5, nil}}},
		{"json", "76561198000000001", `"a number"`, "200 OK", "", "a number"},
		{"json", "76561198000000002", `"its neighbour"`, "200 ERROR", "", nil},
		{"json", `["nobody","masha"]`, `[]`, "200 OK", "", []any{}},
		{"json", `{"0":"nobody","2":"masha"}`, `null`, "200 OK", "", nil}, // an array with a hole
		{"json", "1e25", `1`, "400 ERROR", "send it as a string", nil},
		{"json-stream", `"masha"`, `{"text":"Hi"}`, "200 OK", "", map[string]any{"text": "Hi"}},
		{"multipart", `"a b+c"`, `{"text":"a+b%20&=\r\n"}`, "200 OK", "", map[string]any{"text": "a+b%20&=\r\n"}},
		{"multipart-list", `["nobody","masha"]`, `1`, "200 OK", "", 1.},
		{"gzip", `"masha"`, `"packed"`, "200 OK", "", "packed"},
		{"zlib", `"masha"`, `"packed"`, "200 OK", "", "packed"},
		{"deflate", `"masha"`, `"packed"`, "200 OK", "", "packed"},
		{"br", `"masha"`, `"packed"`, "415 ERROR", "send gzip, deflate or none", nil},
		{"json-as-form", `"masha"`, `1`, "200 ERROR", "Content-Type: application/json", nil},
		{"text", `"masha"`, `1`, "200 ERROR", "is not read", nil},
		{"array-as-data", `"masha"`, `{"text":"Hi"}`, "400 ERROR", "json_encode", nil},
		{"windows-1251", `"masha"`, `"Вася"`, "400 ERROR", "mb_convert_encoding", nil},
		{"windows-1251-event", `"masha"`, `1`, "200 OK", "mb_convert_encoding", 1.},
		{"windows-1251-multipart", `"masha"`, `"Вася"`, "400 ERROR", "mb_convert_encoding", nil},
		{"windows-1251-get", `"masha"`, `"Вася"`, "200 OK", "iconv", map[string]any{"text": "\ufffd\ufffd\ufffd\ufffd"}},
		{"windows-1251-cured", `"masha"`, `"Вася"`, "200 OK", "", "Вася"},
	} {
		out, err := exec.Command("php", "-d", "display_errors=stderr", "testdata/bodies.php", server.URL, c.body, c.userid, c.json).CombinedOutput()
		if err != nil {
			t.Fatalf("php: %v\n%s", err, out)
		}
		answer, told, _ := strings.Cut(string(out), "\n")
		if answer != c.answer || (told != "") != (c.told != "") || !strings.Contains(told, c.told) {
			t.Errorf("%s to %s is answered %q and told %q, want %q", c.body, c.userid, answer, told, c.answer)
		}
		if c.answer != "200 OK" {
			continue
		}
		if got := page.Next(); len(got.Args) != 1 || !reflect.DeepEqual(got.Args[0], c.heard) {
			t.Errorf("%s to %s: heard %v, want %v", c.body, c.userid, got, c.heard)
		}
	}
}
