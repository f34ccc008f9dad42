//go:build programs

package e2e

import (
	"os/exec"
	"reflect"
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
