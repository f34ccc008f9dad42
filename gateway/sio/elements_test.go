package sio

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

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
