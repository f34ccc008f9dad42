package sio

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// Of any object the member is read that JSON.parse would take, and nothing beyond the object.
func FuzzUserIDOf(f *testing.F) {
	for _, object := range []string{
		`{}`, `{"userid":"x"}`, `{ "userid" : 1 , "userid" : [ "2" ] }`, `{"a":"\\\"}","b":[{"userid":"]"}],"userid":null}`, `{"userId":1,"\u0075\u0073\u0065\u0072\u0069\u0064":-1.5e3}`,
		`{"userid":{"userid":[[[]]]}}`, `{"":"","userid":true}`, "{\"a\"\t:\r\n1,\"userid\":\"я😀\"}", `{"userid":"\ud800"}`, `{"\ud800":1,"userid":2}`,
	} {
		f.Add([]byte(object))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		object := json.RawMessage(strings.TrimSpace(string(text)))
		var want map[string]json.RawMessage
		if !utf8.Valid(text) || len(object) == 0 || object[0] != '{' || json.Unmarshal(object, &want) != nil {
			return
		}
		if got := userIDOf(object); string(got) != string(want["userid"]) {
			t.Errorf("%s: %q, want %q", object, got, want["userid"])
		}
		hasUserID(object)
		if raw := want["userid"]; len(raw) > 0 {
			if raw[0] == '[' {
				elements(raw, 33)
			} else if id, err := userID(raw); err == nil && raw[0] == '"' {
				var decoded string
				if json.Unmarshal(raw, &decoded) != nil || decoded != id {
					t.Errorf("%s is the id %q", raw, id)
				}
			}
		}
	})
}

// The ids of a list are those that encoding/json reads, however they are written.
func TestElements(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.String(), 0, 5).Draw(t, "ids")
		space := rapid.SampledFrom([]string{"", " ", "\n\t "}).Draw(t, "space")
		var parts []string
		for _, id := range want {
			encoded, err := json.Marshal(id)
			if err != nil {
				t.Fatal(err)
			}
			parts = append(parts, space+string(encoded)+space)
		}
		text := "[" + space + strings.Join(parts, ",") + "]"
		var read []string
		if err := json.Unmarshal([]byte(text), &read); err != nil {
			t.Fatal(err)
		}
		most := rapid.IntRange(0, 5).Draw(t, "most")
		list := elements(json.RawMessage(text), most)
		if len(list) != min(most, len(read)) {
			t.Fatalf("%d elements of %s", len(list), text)
		}
		for i, raw := range list {
			if id, err := userID(raw); err != nil || id != read[i] {
				t.Errorf("element %d of %s: %q, %v", i, text, id, err)
			}
		}
	})
	for text, want := range map[string]int{"[]": 0, "[ ]": 0, "[1]": 1, "[1 , 2.5e3,null]": 3, `["\\","\"","]"]`: 3, "[1,[2]]": 0, `[{"a":1}]`: 0} {
		if n := len(elements(json.RawMessage(text), 9)); n != want {
			t.Errorf("%s: %d elements, want %d", text, n, want)
		}
	}
}
