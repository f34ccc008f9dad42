package sio

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/ramainen/doit-socket/internal/siotest"
)

// What pages of every kind do, beside what has tests of its own: it worked when it
// was tried, and stays so.

// A register that carries binary data is answered. Its id is read as that of any
// other; data in the place of the id is none.
func TestRegisterWithBinary(t *testing.T) {
	b := start(t)
	for _, revision := range []int{3, 4} {
		for _, polling := range [][]bool{nil, {true}} {
			p := b.join(revision, polling...)
			p.Send(`451-8["register",{"userid":{"_placeholder":true,"num":0}}]`)
			p.Expect("438" + binaryID)
			p.Send(`451-9["register",{"_placeholder":true,"num":0}]`)
			p.Expect("439" + noUserID)
			p.Send(`451-007["register",{"userid":"42","photo":{"_placeholder":true,"num":0}}]`)
			if revision == 4 && polling != nil {
				p.Send("b" + base64.StdEncoding.EncodeToString([]byte("2[]")))
			}
			p.Expect(`43007[{"ok":true}]`)
			b.wantUsers(1)
			if n := b.emit("42", "alert"); n != 1 {
				t.Errorf("%d sockets took it", n)
			}
			p.Expect(`42["alert"]`)
			p.Send(`451-["unregister",{"userid":"42","photo":{"_placeholder":true,"num":0}}]`)
			p.ExpectAlive()
			b.wantUsers(0)
			p.Close()
		}
	}
}

// raw undoes the escapes that encoding/json makes and JSON.stringify does not.
var raw = strings.NewReplacer(`\u2028`, "\u2028", `\u2029`, "\u2029", `\u003c`, "<", `\u003e`, ">")

// Texts of every kind arrive as they were sent, in data, event and id.
func TestTextsOfEveryKind(t *testing.T) {
	b := start(t)
	for i, text := range []string{
		"\u2028 and \u2029", "a\x00b", "\x1e\x1f\x7f", "👩\u200d👩\u200d👧 and 🇷🇺", "\ufeffmark", "\u202eback", "e\u0301", `"\'</script>`, "__proto__", "constructor", "\r\n\t",
	} {
		data, err := json.Marshal(map[string]string{text: text})
		if err != nil {
			t.Fatal(err)
		}
		data = []byte(raw.Replace(string(data)))
		for _, revision := range []int{3, 4} {
			for _, polling := range []bool{false, true} {
				page := siotest.Dial(t, b.url, siotest.Options{EIO: revision, Polling: polling, Base64: true})
				id := fmt.Sprint(text, revision, polling) // a page that is closed may not be gone at once
				page.Register(id)
				page.Register(id) // twice is once
				if n := b.emit(id, fmt.Sprint(text, i), string(data)); n != 1 {
					t.Errorf("%q: %d sockets took it", text, n)
				}
				page.Expect(fmt.Sprint(text, i), map[string]any{text: text})
				page.Close()
			}
		}
	}
}

// Events that some library or client gives a meaning of its own are events here.
func TestEventsWithMeanings(t *testing.T) {
	b := start(t)
	for _, revision := range []int{2, 3, 4} {
		p := b.join(revision)
		id := fmt.Sprint("user ", revision)
		p.Register(id)
		for _, event := range []string{"error", "ping", "pong", "message", "open", "close", "reconnect", "connecting", "register", "doit:gap"} {
			if n := b.emit(id, event, "1"); n != 1 {
				t.Errorf("%s: %d sockets took it", event, n)
			}
			p.Expect(fmt.Sprintf(`42["%s",1]`, event))
		}
	}
}
