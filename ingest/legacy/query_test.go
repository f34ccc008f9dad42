package legacy

import (
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestQueryAsQuerystring(t *testing.T) {
	type wanted struct {
		Name   string
		Values []string
	}
	for _, c := range readGolden[[]wanted](t, "testdata/querystring-golden.json.gz") {
		got := []wanted{}
		for _, p := range parseQuery(c.Input) {
			got = append(got, wanted{p.name, p.values})
		}
		if !reflect.DeepEqual(got, c.Want) {
			t.Errorf("%q\n got %q\nwant %q", c.Input, got, c.Want)
		}
	}
}

func TestParseQuery(t *testing.T) {
	tests := []struct {
		about, raw string
		want       []param
	}{
		{"empty", "", nil},
		{"nothing but ampersands", "&&", nil},
		{"in order", "b=1&a=2&5=3", []param{{"b", []string{"1"}}, {"a", []string{"2"}}, {"5", []string{"3"}}}},
		{"repeated", "a=1&b=2&a=3", []param{{"a", []string{"1", "3"}}, {"b", []string{"2"}}}},
		{"repeated under another spelling", "a=1&%61=2", []param{{"a", []string{"1", "2"}}}},
		{"brackets mean nothing", "user[0]=1", []param{{"user[0]", []string{"1"}}}},
		{"no value, no name", "a&=b", []param{{"a", []string{""}}, {"", []string{"b"}}}},
		{"equals signs", "a=b=c", []param{{"a", []string{"b=c"}}}},
		{"plus", "a+b=c+d%2B", []param{{"a b", []string{"c d+"}}}},
		{"semicolon", "a=b;c=d", []param{{"a", []string{"b;c=d"}}}},
		{"broken escapes", "a=%&b=%4&c=%zz%41%4", []param{{"a", []string{"%"}}, {"b", []string{"%4"}}, {"c", []string{"%zzA%4"}}}},
		{"escapes that are not UTF-8", "a=%E0%A4%A", []param{{"a", []string{"\ufffd%A"}}}},
		{"bytes that are not UTF-8", "a=\xe2\x82b", []param{{"a", []string{"\ufffdb"}}}},
		{"bare UTF-8", "a=вася", []param{{"a", []string{"вася"}}}},
	}
	for _, test := range tests {
		t.Run(test.about, func(t *testing.T) {
			if got := parseQuery(test.raw); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestQueryHostile(t *testing.T) {
	var names strings.Builder
	for i := range 1 << 17 {
		fmt.Fprintf(&names, "&%d", i)
	}
	for about, raw := range map[string]string{
		"ampersands":    strings.Repeat("&", 1<<20),
		"equals signs":  strings.Repeat("=", 1<<20),
		"percent signs": strings.Repeat("%", 1<<20),
		"bad bytes":     strings.Repeat("\xff", 1<<20),
		"repeated":      strings.Repeat("a&", 1<<19),
		"many names":    names.String(),
	} {
		t.Run(about, func(t *testing.T) {
			checkCost(t, len(raw), func() { parseQuery(raw) })
		})
	}
}

func FuzzParseQuery(f *testing.F) {
	f.Add("id=u1&message=e&a=1&a=2&%zz=%E0%A4%A&+=&&;\xff", "a b")
	f.Add(strings.Repeat("a&b=&", 50), "значение")
	f.Fuzz(func(t *testing.T, raw, plain string) {
		names := map[string]bool{}
		values := 0
		for _, p := range parseQuery(raw) {
			if names[p.name] {
				t.Errorf("%q appears twice", p.name)
			}
			names[p.name] = true
			values += len(p.values)
			for _, text := range append(p.values, p.name) {
				if !utf8.ValidString(text) {
					t.Errorf("%q is not UTF-8", text)
				}
			}
		}
		parts := 0
		for part := range strings.SplitSeq(raw, "&") {
			if part != "" {
				parts++
			}
		}
		if values != parts {
			t.Errorf("%d values of %d parts", values, parts)
		}

		if !utf8.ValidString(plain) {
			return
		}
		got := parseQuery("message=e&id=" + url.QueryEscape(plain))
		want := []param{{"message", []string{"e"}}, {"id", []string{plain}}}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func BenchmarkParseQuery(b *testing.B) {
	raw := "id=d41d8cd98f00b204e9800998ecf8427e&message=server_event&_type=string&_data=" + url.QueryEscape("Привет, как дела?")
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		parseQuery(raw)
	}
}
