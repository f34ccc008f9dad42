package legacy

import (
	"bytes"
	"encoding/json"
	"mime"
	"mime/multipart"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ramainen/doit-socket/internal/rawjson"
)

// The members of an object are those that encoding/json finds, byte for byte.
func FuzzParseObject(f *testing.F) {
	for _, body := range []string{
		`{"id":"u","message":"e","data":{"a":[1,"]}\"",null]}}`, `{"id":[1,"\u0431",{"x":2}],"message":"\ud83d\ude00"}`, "[]", " [ ] ", "\ufeff{}",
		`{"\u0069d":12345678901234567890,"id":-0}`, `{"data":"\\","data":1.5e3}`, `{"id":{"1":"a","3":"b"}}`, "{\"data\":\"\xff\"}", `{"id":"\ud800","message":"\udc00"}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		o, err := parseObject(bytes.Clone(body))
		trimmed := bytes.Trim(bytes.TrimPrefix(body, []byte("\ufeff")), " \t\r\n")
		if valid := utf8.Valid(trimmed) && json.Valid(trimmed); err == nil && !valid && len(trimmed) > 0 {
			t.Fatalf("%q is taken", body)
		} else if err != nil && valid && trimmed[0] == '{' {
			t.Fatalf("%q: %v", body, err)
		}
		if len(o) == 0 {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(o, &want); err != nil {
			t.Fatalf("%q: %v", o, err)
		}
		got := map[string][]byte{}
		for name, value := range rawjson.Members(o) {
			got[nameOf(name)] = value
		}
		for _, known := range []string{"id", "message", "data"} {
			if !bytes.Equal(got[known], want[known]) {
				t.Errorf("%q: %s is %q, want %q", o, known, got[known], want[known])
			}
		}
		e, err := o.emit()
		if err != nil {
			return
		}
		if !e.valid() {
			t.Errorf("%q has %+v", o, e)
		}
		var event string
		if id := want["id"]; len(id) > 0 && strings.IndexByte("-0123456789", id[0]) >= 0 && (len(e.ids) != 1 || e.ids[0] != string(id)) {
			t.Errorf("%s became %q", id, e.ids)
		}
		if e.hasEvent && (json.Unmarshal(want["message"], &event) != nil || event != e.event) {
			t.Errorf("%s became %q", want["message"], e.event)
		}
	})
}

// What Go's writer makes is read as it was meant, and nothing makes the parser fail otherwise.
func FuzzParseMultipart(f *testing.F) {
	f.Add("id", "u", "message", "e", "--b\r\n\r\n--b--")
	f.Add("id[0]", "\r\n--", "a\"\\b", "\r", "\n--b\nContent-Disposition: form-data; name=\"a;b\\\"\n\nx\n--b--")
	f.Add("данные", "{}", "", "\xff", "--b\ncontent-disposition:;;=;name==\"\n\n\n--b \n\n--b")
	f.Fuzz(func(t *testing.T, name, value, name2, value2, hostile string) {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		var want []field
		for _, field := range []field{{name, value}, {name2, value2}} {
			_ = w.WriteField(field.key, field.raw)
			if field.key = strings.NewReplacer("\r", "%0D", "\n", "%0A").Replace(field.key); field.key != "" {
				want = append(want, field)
			}
		}
		_ = w.Close()
		got, err := parseMultipart(w.FormDataContentType(), body.Bytes())
		if err != nil || len(got.fields) != len(want) {
			t.Fatalf("%q: %q, %v", body.String(), got.fields, err)
		}
		for i := range want {
			if got.fields[i] != want[i] {
				t.Errorf("%q, want %q", got.fields[i], want[i])
			}
		}

		size := 0
		parsed, _ := parseMultipart("multipart/form-data; boundary=b", []byte(hostile))
		for _, field := range parsed.fields {
			size += len(field.key) + len(field.raw)
		}
		if size > len(hostile) {
			t.Errorf("%d bytes became %d", len(hostile), size)
		}
		parsed.emit()
	})
}

// A parameter of a header that Go has written is found.
func FuzzParameter(f *testing.F) {
	f.Add("a;b", `x"y\`, "multipart/form-data; boundary=b; boundary=c")
	f.Add("", " ", `x;NAME="b`)
	f.Fuzz(func(t *testing.T, first, value, hostile string) {
		_, _ = parameter(hostile, "name")
		typeOf(hostile)
		header := mime.FormatMediaType("form-data", map[string]string{"a": first, "name": value})
		if header == "" || strings.Contains(header, "*=") || strings.ContainsAny(value+first, "\r") {
			return
		}
		if got, ok := parameter(header, "name"); !ok || got != value {
			t.Errorf("%s: %q, %v, want %q", header, got, ok, value)
		}
	})
}

func TestParameter(t *testing.T) {
	for header, want := range map[string]string{
		"x; name=a":                    "a",
		"x;NAME=a":                     "a",
		"x ; name = a ;b=c":            "a",
		`x; name="a; \"b\" \\ \c"`:     `a; "b" \ \c`,
		`x; name="a`:                   "a",
		"x; name=a; name=b":            "a",
		"x; name=a, x; name=b":         "a",
		"x; y; =; name=a":              "a",
		`x; y="; name=b"; name=a`:      "a",
		"x; name=":                     "",
		"x; named=b;name =a":           "a",
		"x; filename=b; name=a; size=": "a",
	} {
		if got, ok := parameter(header, "name"); !ok || got != want {
			t.Errorf("%s: %q, %v, want %q", header, got, ok, want)
		}
	}
	for _, header := range []string{"", "name=a", "x", "x;", "x; name", `x; y="; name=b"`, "x; names=a"} {
		if got, ok := parameter(header, "name"); ok {
			t.Errorf("%s: %q", header, got)
		}
	}
}

// A Content-Type is read however it is written.
func TestContentTypes(t *testing.T) {
	for contentType, want := range map[string]bodyType{
		"": formBody, "application/x-www-form-urlencoded": formBody, "Application/X-WWW-Form-URLEncoded": formBody,
		"application/x-www-form-urlencoded; charset=UTF-8": formBody, "application/x-www-form-urlencoded;charset=utf-8;charset=utf-8": formBody,
		`application/x-www-form-urlencoded; charset="utf-8`: formBody, "application/x-www-form-urlencoded; charset='utf-8'; =;;": formBody,
		"application/x-www-form-urlencoded charset=utf-8": formBody, `"application/x-www-form-urlencoded"`: formBody,
		"application/x-www-form-urlencoded, application/x-www-form-urlencoded": formBody, "; charset=utf-8": formBody,
		"application/json": jsonBody, "application/json;charset=utf-8": jsonBody, "APPLICATION/JSON": jsonBody, "text/json": jsonBody,
		"application/vnd.api+json": jsonBody, "application/problem+JSON; x": jsonBody, "application/json; charset=utf-8; charset=UTF-8": jsonBody,
		"multipart/form-data; boundary=b": multipartBody, "Multipart/Form-Data;boundary=b": multipartBody,
		"text/plain": unreadBody, "multipart/mixed": unreadBody, "application/jsonp": unreadBody, "application/octet-stream": unreadBody,
		"x-www-form-urlencoded": unreadBody, "json": unreadBody, "+json": unreadBody, "image/svg+json": unreadBody,
	} {
		if got := typeOf(contentType); got != want {
			t.Errorf("%s: %d, want %d", contentType, got, want)
		}
	}
}
