package rawjson

import (
	"bytes"
	"encoding/json"
	"testing"
)

// The elements and members of any JSON are those that encoding/json finds, byte for byte.
func FuzzParts(f *testing.F) {
	for _, text := range []string{
		"[]", " [ ] ", "{}", `[1,-2.5e3 ,null,true,"",[[]],{"a":"]"}]`, `{"a" : 1, "":{"b":[2]} , "\"}":"\\"}`, "[\"\\\\\",\"\\\"\",\"]\"]", `{"a":1,"a":2}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		text = bytes.Trim(text, " \t\r\n")
		if !json.Valid(text) {
			return
		}
		switch text[0] {
		case '[':
			var want, got []json.RawMessage
			if err := json.Unmarshal(text, &want); err != nil {
				return
			}
			for element := range Elements(text) {
				got = append(got, element)
			}
			if len(got) != len(want) {
				t.Fatalf("%s has %d elements, want %d", text, len(got), len(want))
			}
			for i := range want {
				if !bytes.Equal(got[i], want[i]) {
					t.Errorf("element %d of %s is %s, want %s", i, text, got[i], want[i])
				}
			}
		case '{':
			var want map[string]json.RawMessage
			if err := json.Unmarshal(text, &want); err != nil {
				return
			}
			got := make(map[string][]byte)
			for name, value := range Members(text) {
				var decoded string
				if err := json.Unmarshal(name, &decoded); err != nil {
					t.Fatalf("%s has the name %s: %v", text, name, err)
				}
				got[decoded] = value
			}
			if len(got) != len(want) {
				t.Fatalf("%s has %d members, want %d", text, len(got), len(want))
			}
			for name, value := range want {
				if !bytes.Equal(got[name], value) {
					t.Errorf("member %q of %s is %s, want %s", name, text, got[name], value)
				}
			}
		}
	})
}
