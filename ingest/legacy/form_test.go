package legacy

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// golden is a case of a golden file that testdata/qs-oracle.mjs made.
type golden[T any] struct {
	Input string // bytes as Latin-1
	Want  T
}

func readGolden[T any](t *testing.T, file string) []golden[T] {
	t.Helper()
	compressed, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = compressed.Close() }()
	text, err := gzip.NewReader(compressed)
	if err != nil {
		t.Fatal(err)
	}
	var cases []golden[T]
	if err := json.NewDecoder(text).Decode(&cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 300 {
		t.Fatalf("%s has only %d cases", file, len(cases))
	}
	for i := range cases {
		var bytes []byte
		for _, r := range cases[i].Input {
			bytes = append(bytes, byte(r))
		}
		cases[i].Input = string(bytes)
	}
	return cases
}

func mustParseForm(t testing.TB, body string) form {
	t.Helper()
	f, err := parseForm(body)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFormAsQS(t *testing.T) {
	type answers struct {
		Text  string
		Texts []string
	}
	for _, c := range readGolden[map[string]answers](t, "testdata/qs-golden.json.gz") {
		f := mustParseForm(t, c.Input)
		got := map[string]answers{}
		for _, name := range []string{"id", "message", "data", "a"} {
			text, ok := f.text(name)
			texts, ok2 := f.texts(name)
			if ok != ok2 {
				t.Errorf("%q: text found %q: %v, texts: %v", c.Input, name, ok, ok2)
			}
			if ok {
				got[name] = answers{text, texts}
			}
		}
		if !reflect.DeepEqual(got, c.Want) {
			t.Errorf("%q\n got %q\nwant %q", c.Input, got, c.Want)
		}
	}
}

func TestFormTexts(t *testing.T) {
	tests := []struct {
		about, body string
		want        []string
	}{
		{"absent", "message=e", nil},
		{"another name that begins alike", "ids=a&idx[]=b", nil},
		{"empty body", "", nil},
		{"no equals sign", "id", []string{""}},
		{"one", "id=a", []string{"a"}},
		{"repeated", "id=a&id=b", []string{"a", "b"}},
		{"one user twice", "id=a&id=a", []string{"a", "a"}},
		{"empty brackets", "id[]=a&id[]=b", []string{"a", "b"}},
		{"indices", "id[0]=a&id[1]=b", []string{"a", "b"}},
		{"escaped indices, as PHP sends", "id%5B0%5D=a&id%5b1%5d=b", []string{"a", "b"}},
		{"indices out of order", "id[2]=a&id[1]=b", []string{"b", "a"}},
		{"indices over the limit, out of order", "id[3000]=a&id[200]=b", []string{"b", "a"}},
		{"index that cannot be one", "id[4294967295]=a&id[5]=b", []string{"b", "a"}},
		{"huge index", "id[99999999]=a", []string{"a"}},
		{"one index twice", "id[0]=a&id[0]=b&id[1]=c", []string{"a,b", "c"}},
		{"map", "id[k]=a&id[b]=c", []string{"a", "c"}},
		{"map with numbers", "id[k]=a&id[7]=b", []string{"b", "a"}},
		{"text, then list", "id=a&id[]=b", []string{"a", "b"}},
		{"list, then text", "id[]=a&id=b", []string{"a", "b"}},
		{"text, then map", "id=a&id[k]=b", []string{"a", "[object Object]"}},
		{"nested map", "id[a][b]=x", []string{"[object Object]"}},
		{"nested list", "id[a][]=x&id[a][]=y", []string{"x,y"}},
		{"name in brackets", "[id]=a", []string{"a"}},
		{"open bracket", "id[=a", []string{"a"}},
		{"map of nothing", "id[__proto__]=a", []string{}},
		{"methods of Object are names", "id[toString]=a&id[hasOwnProperty]=b", []string{"a", "b"}},
		{"equals sign in brackets", "id[a=b]=c", []string{"c"}},
		{"byte order mark", "\ufeffid=a", []string{"a"}},
		{"empty parts", "&&id=a&&", []string{"a"}},
		{"semicolon", "id=a;id=b", []string{"a;id=b"}},
		{"plus and escapes", "id=a+b%2B%26", []string{"a b+&"}},
		{"broken escape", "id=a+%zz%41", []string{"a %zz%41"}},
		{"broken escape with brackets", "id=%5B+%", []string{"[ %"}},
		{"escapes that are not UTF-8", "id=%D0%41", []string{"%D0%41"}},
		{"bytes that are not UTF-8", "id=\xe2\x82a\xff", []string{"\ufffda\ufffd"}},
		{"deeper than is followed", "id" + strings.Repeat("[0]", 40) + "=a", []string{"[object Object]"}},
	}
	for _, test := range tests {
		t.Run(test.about, func(t *testing.T) {
			got, ok := mustParseForm(t, test.body).texts("id")
			if ok != (test.want != nil) || !slices.Equal(got, test.want) {
				t.Errorf("texts = %q, %v, want %q", got, ok, test.want)
			}
		})
	}
}

func TestFormText(t *testing.T) {
	tests := []struct {
		about, body, want string
	}{
		{"JSON", "data=%7B%22a%22%3A%5B1%5D%7D", `{"a":[1]}`},
		{"unescaped JSON", `data={"a":[1,"=]"]}`, `{"a":[1,"=]"]}`},
		{"empty", "data=", ""},
		{"repeated", "data=1&data=2", "1,2"},
		{"nested lists", "data[0][]=1&data[0][]=2&data[]=3", "1,2,3"},
		{"map", "data[k]=1", "[object Object]"},
		{"list of maps", "data[][k]=1&data[]=2", "[object Object],2"},
		{"pushed out of the list", "data=1&data[99]=2", "[object Object]"},
	}
	for _, test := range tests {
		t.Run(test.about, func(t *testing.T) {
			got, ok := mustParseForm(t, test.body).text("data")
			if !ok || got != test.want {
				t.Errorf("text = %q, %v, want %q", got, ok, test.want)
			}
		})
	}
}

func TestFormMaxParameters(t *testing.T) {
	most := "id=a" + strings.Repeat("&", maxParameters-1)
	if _, err := parseForm(most); err != nil {
		t.Error(err)
	}
	if _, err := parseForm(most + "&"); !errors.Is(err, errTooManyParameters) {
		t.Errorf("err = %v, want %v", err, errTooManyParameters)
	}
}

// numbered returns a form of maxParameters parameters. In each, its number replaces the percent sign of the pattern.
func numbered(parameter string) string {
	var b strings.Builder
	for i := range maxParameters {
		b.WriteString(strings.ReplaceAll(parameter, "%", fmt.Sprint(i)))
	}
	return b.String()[1:]
}

// hostileForms are bodies of up to about 1 MiB for which a naive decoder needs minutes, gigabytes or the whole stack.
var hostileForms = map[string]string{
	"open brackets":          "id" + strings.Repeat("[", 1<<20),
	"only open brackets":     strings.Repeat("[", 1<<20),
	"closed brackets":        "id" + strings.Repeat("[", 1<<19) + strings.Repeat("]", 1<<19) + "=a",
	"deep key":               "id" + strings.Repeat("[a]", 1<<20/3) + "=a",
	"deep list":              "id" + strings.Repeat("[]", 1<<19) + "=a",
	"equals signs":           "id" + strings.Repeat("=", 1<<20),
	"percent signs":          "id=" + strings.Repeat("%", 1<<20),
	"escapes":                "id=" + strings.Repeat("%5B", 1<<20/3) + "%",
	"bad bytes":              "id=" + strings.Repeat("\xf0\x9f", 1<<19),
	"repeated":               numbered("&id=a"),
	"indices":                numbered("&id[%]=a"),
	"sparse lists":           numbered("&id[%][9999]=a"),
	"sparse maps":            numbered("&id[k%][9999]=a"),
	"huge indices":           numbered("&id[9999%]=a"),
	"many keys of one path":  numbered("&id[k]x%=a"),
	"many paths of one path": numbered("&id[0]x%[k]=a"),
	"many names":             numbered("&id%=a"),
	"deep keys":              numbered("&id[%]" + strings.Repeat("[0]", 31) + "=a"),
	"deep keys that meet":    numbered("&id" + strings.Repeat("[0]", 31) + "[%]=a"),
}

func TestFormHostile(t *testing.T) {
	for about, body := range hostileForms {
		t.Run(about, func(t *testing.T) {
			checkCost(t, len(body), func() {
				f := mustParseForm(t, body)
				f.texts("id")
			})
		})
	}
}

// checkCost fails if decode needs far more than linear time or memory for an input of size bytes. Its time limit is far
// above the usual milliseconds, and far below the time of quadratic work on 1 MiB.
func checkCost(t *testing.T, size int, decode func()) {
	t.Helper()
	const mostTime, mostBytes = 10 * time.Second, 256
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	decode()
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	allocated := int(after.TotalAlloc - before.TotalAlloc)
	t.Logf("%d bytes took %v and %d bytes for each", size, took, allocated/size)
	if took > mostTime || allocated > mostBytes*size {
		t.Errorf("%d bytes took %v and %d bytes of memory", size, took, allocated)
	}
}

func FuzzParseForm(f *testing.F) {
	for _, body := range hostileForms {
		f.Add(body[:min(len(body), 200)], "a b")
	}
	f.Add("id=a&id[]=b&id[k]=c&[id][0]=d&message[99999999]=%D0%zz&data=\xff", "значение")
	f.Fuzz(func(t *testing.T, body, plain string) {
		got, err := parseForm(body)
		if (err != nil) != (strings.Count(body, "&") >= maxParameters) {
			t.Fatalf("err = %v", err)
		}
		for _, name := range []string{"id", "message", "data"} {
			text, ok := got.text(name)
			if !utf8.ValidString(text) {
				t.Errorf("text(%q) = %q", name, text)
			}
			texts, ok2 := got.texts(name)
			if ok != ok2 {
				t.Errorf("%q: found by text: %v, by texts: %v", name, ok, ok2)
			}
			size := 0
			for _, text := range texts {
				size += len(text)
				if !utf8.ValidString(text) {
					t.Errorf("texts(%q) has %q", name, text)
				}
			}
			if most := len("[object Object],") * (len(body) + 1); size > most || len(text) > most {
				t.Errorf("%d bytes became %d and %d", len(body), len(text), size)
			}
		}

		if !utf8.ValidString(plain) {
			return
		}
		plainForm := mustParseForm(t, "message=e&id="+url.QueryEscape(plain)+"&data=1")
		if text, ok := plainForm.text("id"); !ok || text != plain {
			t.Errorf("text = %q, %v, want %q", text, ok, plain)
		}
	})
}

func BenchmarkForm(b *testing.B) {
	receivers := url.Values{}
	for i := range 1000 {
		receivers.Set(fmt.Sprintf("id[%d]", i), fmt.Sprintf("%032x", i))
	}
	json := url.QueryEscape(`{"user":"Вася","text":"Привет, как дела?","list":[1,2,3]}`)
	bodies := []struct{ about, body string }{
		{"typical", "id=d41d8cd98f00b204e9800998ecf8427e&message=server_event&data=" + json},
		{"three-receivers", "id%5B0%5D=a1&id%5B1%5D=b2&id%5B2%5D=c3&message=server_event&data=" + json},
		{"thousand-receivers", receivers.Encode() + "&message=server_event&data=" + json},
	}
	for _, body := range bodies {
		b.Run(body.about, func(b *testing.B) {
			b.SetBytes(int64(len(body.body)))
			b.ReportAllocs()
			for b.Loop() {
				f, err := parseForm(body.body)
				if err != nil {
					b.Fatal(err)
				}
				f.texts("id")
				f.text("message")
				f.text("data")
			}
		})
	}
}
