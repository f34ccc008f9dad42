package legacy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ramainen/doit-socket/internal/wire"
)

// An answer is what a client sees of one.
type answer struct {
	status int
	body   string
	header http.Header
}

func (a answer) String() string { return fmt.Sprint(a.status, " ", a.body) }

// ask sends a request with headers, which are pairs of a name and a value.
func (b *bench) ask(method, target, body string, headers ...string) answer {
	b.t.Helper()
	r, err := http.NewRequest(method, b.http.URL+target, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{resp.StatusCode, string(text), resp.Header}
}

// listen makes this process the gateway of some users. heard returns what they have got since the last call, each as
// subject and payload.
func (b *bench) listen(ids ...string) (heard func() string) {
	b.t.Helper()
	users := make(map[string]bool)
	for _, id := range ids {
		subject, err := wire.Subject("", id)
		if err != nil {
			b.t.Fatal(err)
		}
		users[subject] = true
	}
	var mu sync.Mutex
	var messages []string
	b.publisher.UseGateway(func() bool { return true }, func(_ context.Context, _ time.Duration, m wire.Message, subjects []string, _ bool) []int {
		mu.Lock()
		defer mu.Unlock()
		sockets := make([]int, len(subjects))
		for i, subject := range subjects {
			if users[subject] {
				sockets[i] = 1
				messages = append(messages, subject+" "+string(m.Payload))
			}
		}
		return sockets
	})
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		got := strings.Join(messages, " ")
		messages = nil
		return got
	}
}

const formType, jsonType = "application/x-www-form-urlencoded", "application/json"

// What a JSON body is answered, and what pages get.
func TestJSONBodies(t *testing.T) {
	b := newBench(t)
	heard := b.listen("u", "v", "42", "76561198000000001", "-7", "вася")
	for _, c := range []struct{ about, query, body, answer, heard string }{
		{"Laravel", "", `{"id":"u","message":"e","data":{"text":"Hi"}}`, "200 OK", `user.u ["e",{"text":"Hi"}]`},
		{"a number", "", `{"id":42,"message":"e","data":null}`, "200 OK", `user.42 ["e",null]`},
		{"beyond 2^53", "", `{"id":76561198000000001,"message":"e"}`, "200 OK", `user.76561198000000001 ["e",{}]`},
		{"its neighbour", "", `{"id":76561198000000002,"message":"e"}`, "200 ERROR", ""},
		{"a negative number", "", `{"id":-7,"message":"e"}`, "200 OK", `user.-7 ["e",{}]`},
		{"a fraction", "", `{"id":42.0,"message":"e"}`, "400 ERROR", ""},
		{"an exponent", "", `{"id":7.6561198000000001e16,"message":"e"}`, "400 ERROR", ""},
		{"a capital exponent", "", `{"id":4E1,"message":"e"}`, "400 ERROR", ""},
		{"a fraction in a list", "", `{"id":["u",4.5],"message":"e"}`, "400 ERROR", ""},
		{"a list", "", `{"id":["u",42],"message":"e","data":[1]}`, "200 OK", `user.u ["e",[1]] user.42 ["e",[1]]`},
		{"a list with holes", "", `{"id":{"0":"u","2":"v"},"message":"e"}`, "200 OK", `user.u ["e",{}] user.v ["e",{}]`},
		{"an empty list", "", `{"id":[],"message":"e"}`, "200 ERROR", ""},
		{"an empty id of a list", "", `{"id":["","u"],"message":"e"}`, "200 OK", `user.u ["e",{}]`},
		{"an empty id", "", `{"id":"","message":"e"}`, "200 ERROR", ""},
		{"null for the id", "", `{"id":null,"message":"e"}`, "200 ERROR", ""},
		{"null in a list", "", `{"id":["u",null],"message":"e"}`, "400 ERROR", ""},
		{"true for the id", "", `{"id":true,"message":"e"}`, "400 ERROR", ""},
		{"a list in a list", "", `{"id":[["u"]],"message":"e"}`, "400 ERROR", ""},
		{"too many ids", "", `{"id":["u"` + strings.Repeat(",1", wire.MaxReceivers) + `],"message":"e"}`, "400 ERROR", ""},
		{"a long id", "", `{"id":"` + strings.Repeat("x", 257) + `","message":"e"}`, "400 ERROR", ""},
		{"escapes", "", `{"\u0069d":"\u0432а\u0441\u044f","message":"\"\ud83d\ude00","data":"\u2028"}`, "200 OK", `user.=0LLQsNGB0Y8 ["\"😀","\u2028"]`},
		{"half of a pair in an id", "", `{"id":"u\ud83d","message":"e"}`, "400 ERROR", ""},
		{"half of a pair in the event", "", `{"id":"u","message":"\ude00\ud83d"}`, "400 ERROR", ""},
		{"the data as it is", "", ` {"data" : { "b":1.0, "a":1e2,"a":2, "c":"\/<b>" } ,"message":"e", "id":"u"}`, "200 OK", `user.u ["e",{ "b":1.0, "a":1e2,"a":2, "c":"\/<b>" }]`},
		{"brackets and quotes in the data", "", `{"data":["]}\"{[","\\"],"id":"u","message":"e"}`, "200 OK", `user.u ["e",["]}\"{[","\\"]]`},
		{"the last of two", "", `{"id":"v","id":"u","message":"x","message":"e"}`, "200 OK", `user.u ["e",{}]`},
		{"other members", "", `{"id":"u","x":{"id":"v"},"message":"e","data":1,"y":[{"data":2}]}`, "200 OK", `user.u ["e",1]`},
		{"names in another case", "", `{"ID":"u","Message":"e"}`, "200 ERROR", ""},
		{"the rest in the query string", "?id=u&message=e&data=2", `{"data":3}`, "200 OK", `user.u ["e",3]`},
		{"all in the query string", "?id=u&message=e&data=2", "", "200 OK", `user.u ["e",2]`},
		{"an empty array of PHP's", "?id=u&message=e", "[ ]", "200 OK", `user.u ["e",{}]`},
		{"byte order mark", "", "\ufeff" + `{"id":"u","message":"e"}`, "200 OK", `user.u ["e",{}]`},
		{"no message", "", `{"id":"u"}`, "200 ERROR", ""},
		{"a number for the message", "", `{"id":"u","message":5}`, "400 ERROR", ""},
		{"a reserved event", "", `{"id":"u","message":"disconnect"}`, "200 ERROR", ""},
		{"not JSON", "", `{"id":"u","message":"e"`, "400 ERROR", ""},
		{"two objects", "", `{"id":"u","message":"e"}{}`, "400 ERROR", ""},
		{"a form", "", "id=u&message=e", "400 ERROR", ""},
		{"a string", "", `"id"`, "400 ERROR", ""},
		{"a list of emits", "", `[{"id":"u","message":"e"}]`, "400 ERROR", ""},
		{"not UTF-8", "", "{\"id\":\"u\",\"message\":\"e\",\"data\":\"\xcf\"}", "400 ERROR", ""},
		{"too large", "", `{"id":"u","message":"e","data":"` + strings.Repeat("x", 4096) + `"}`, "413 ERROR", ""},
	} {
		t.Run(c.about, func(t *testing.T) {
			if got := b.ask("POST", "/emit"+c.query, c.body, "Content-Type", jsonType); got.String() != c.answer {
				t.Errorf("answered %s, want %s", got, c.answer)
			}
			if got := heard(); got != c.heard {
				t.Errorf("heard %s, want %s", got, c.heard)
			}
		})
	}
}

// What a multipart body is answered, and what pages get: the same as with a form.
func TestMultipartBodies(t *testing.T) {
	b := newBench(t)
	heard := b.listen("u", "v", "a+b%20")
	part := func(name, value string) string {
		return "--b\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n"
	}
	emit := part("id", "u") + part("message", "e")
	const usual = "multipart/form-data; boundary=b"
	for _, c := range []struct{ about, contentType, query, body, answer, heard string }{
		{"curl", usual, "", emit + part("data", `{"a":1}`) + "--b--\r\n", "200 OK", `user.u ["e",{"a":1}]`},
		{"no data", usual, "", emit + "--b--", "200 OK", `user.u ["e",{}]`},
		{"as it is", usual, "", part("id", "a+b%20") + part("message", "a b\r\n+%41") + "--b--", "200 OK", `user.=YStiJTIw ["a b\r\n+%41",{}]`},
		{"a list", usual, "", part("id[0]", "u") + part("id[1]", "v") + part("message", "e") + "--b--", "200 OK", `user.u ["e",{}] user.v ["e",{}]`},
		{"a name again", usual, "", part("id", "u") + part("id", "v") + part("message", "e") + "--b--", "200 OK", `user.u ["e",{}] user.v ["e",{}]`},
		{"the rest in the query string", usual, "?id=u", part("message", "e") + "--b--", "200 OK", `user.u ["e",{}]`},
		{"nothing", usual, "?id=u&message=e", "", "200 OK", `user.u ["e",{}]`},
		{"preamble and epilogue", usual, "", "preamble\r\n" + emit + "--b--\r\nepilogue\r\n--b\r\n", "200 OK", `user.u ["e",{}]`},
		{"bare line feeds", usual, "", strings.ReplaceAll(emit, "\r\n", "\n") + "--b--", "200 OK", `user.u ["e",{}]`},
		{"spaces behind a delimiter", usual, "", strings.ReplaceAll(emit, "--b\r\n", "--b \t\r\n") + "--b--", "200 OK", `user.u ["e",{}]`},
		{"what only begins as the delimiter", usual, "", part("id", "u") + part("message", "x --b\r\n--b1\r\n--b y\r\n") + "--b--", "200 OK",
			`user.u ["x --b\r\n--b1\r\n--b y\r\n",{}]`},
		{"a file", usual, "", emit + "--b\r\ncontent-disposition: form-data; filename=\"a;b\"; name=data\r\nContent-Type: application/json\r\n\r\n[2]\r\n--b--", "200 OK", `user.u ["e",[2]]`},
		{"a part without a name", usual, "", emit + "--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--", "200 OK", `user.u ["e",{}]`},
		{"an empty value", usual, "", emit + part("data", "") + "--b--", "400 ERROR", ""},
		{"an empty value without its line", usual, "", part("id", "u") + "--b\r\nContent-Disposition: form-data; name=message\r\n\r\n--b--", "200 OK", `user.u ["",{}]`},
		{"data that is not JSON", usual, "", emit + part("data", "Hi") + "--b--", "400 ERROR", ""},
		{"data that is not UTF-8", usual, "", emit + part("data", "\"\xcf\"") + "--b--", "400 ERROR", ""},
		{"an event that is not UTF-8", usual, "", part("id", "u") + part("message", "\xcf") + "--b--", "400 ERROR", ""},
		{"base64", usual, "", emit + "--b\r\nContent-Disposition: form-data; name=data\r\nContent-Transfer-Encoding: base64\r\n\r\n1234\r\n--b--", "400 ERROR", ""},
		{"8bit", usual, "", emit + "--b\r\nContent-Disposition: form-data; name=data\r\nContent-Transfer-Encoding: 8BIT\r\n\r\n1\r\n--b--", "200 OK", `user.u ["e",1]`},
		{"the end is missing", usual, "", emit, "400 ERROR", ""},
		{"no header ends", usual, "", "--b\r\nContent-Disposition: form-data; name=id--b--", "400 ERROR", ""},
		{"another boundary", "multipart/form-data; boundary=c", "", emit + "--b--", "400 ERROR", ""},
		{"no boundary", "multipart/form-data", "", emit + "--b--", "400 ERROR", ""},
		{"a long boundary", "multipart/form-data; boundary=" + strings.Repeat("b", 257), "", strings.ReplaceAll(emit+"--b--", "--b", "--"+strings.Repeat("b", 257)), "400 ERROR", ""},
		{"a boundary as long as is allowed", "multipart/form-data; boundary=" + strings.Repeat("b", 256), "", strings.ReplaceAll(emit+"--b--", "--b", "--"+strings.Repeat("b", 256)), "200 OK", `user.u ["e",{}]`},
		{"no emit", usual, "", part("message", "e") + "--b--", "200 ERROR", ""},
	} {
		t.Run(c.about, func(t *testing.T) {
			if got := b.ask("POST", "/emit"+c.query, c.body, "Content-Type", c.contentType); got.String() != c.answer {
				t.Errorf("answered %s, want %s", got, c.answer)
			}
			if got := heard(); got != c.heard {
				t.Errorf("heard %s, want %s", got, c.heard)
			}
		})
	}
}

// The number of parts is bounded as that of a form's parameters is.
func TestMaxParts(t *testing.T) {
	body := func(parts int) []byte {
		return []byte(strings.Repeat("--b\n\n\n", parts) + "--b--")
	}
	if _, err := parseMultipart("x; boundary=b", body(maxParameters)); err != nil {
		t.Error(err)
	}
	if _, err := parseMultipart("x; boundary=b", body(maxParameters+1)); !errors.Is(err, errTooManyParameters) {
		t.Errorf("err = %v", err)
	}
}

// What strangers may send costs time and memory in proportion to its bytes.
func TestHostileBodies(t *testing.T) {
	const size = 1 << 20
	for about, c := range map[string]struct {
		boundary string
		body     string
	}{
		"delimiters of no part":    {"b", strings.Repeat("\n--b", size/4)},
		"parts":                    {"b", strings.Repeat("\n--b\n\n", 9999) + "\n--b--"},
		"a delimiter, nearly":      {strings.Repeat("b", 255) + "c", strings.Repeat("\n--"+strings.Repeat("b", 255), size/258)},
		"delimiters with a tail":   {"b", strings.Repeat("\n--b"+strings.Repeat(" ", 100)+"x", size/105)},
		"one long header":          {"b", "--b\nContent-Disposition: " + strings.Repeat(";", size) + "\n\n\n--b--"},
		"parameters of a header":   {"b", "--b\nContent-Disposition: x" + strings.Repeat(";a=\"\\\"\"", size/8) + "\n\n\n--b--"},
		"headers":                  {"b", "--b\n" + strings.Repeat("Content-Disposition: x;name=a\n", size/30) + "\n\n--b--"},
		"a header without its end": {"b", "--b\n" + strings.Repeat("a", size) + "--b--"},
	} {
		t.Run(about, func(t *testing.T) {
			checkCost(t, len(c.body), func() {
				f, _ := parseMultipart("multipart/form-data; boundary="+c.boundary, []byte(c.body))
				f.emit()
			})
		})
	}
	for about, body := range map[string]string{
		"deep":               `{"id":"u","message":"e","data":` + strings.Repeat("[", 9_998) + strings.Repeat("]", 9_998) + "}",
		"too deep":           `{"data":` + strings.Repeat("[", size),
		"members":            `{"id":1` + strings.Repeat(`,"":0`, size/5) + "}",
		"members again":      `{"id":1` + strings.Repeat(`,"id":1`, size/7) + "}",
		"escaped names":      `{"id":1` + strings.Repeat(`,"\u0069":1`, size/11) + "}",
		"ids":                `{"id":[1` + strings.Repeat(",1", size/2) + "]}",
		"one long id":        `{"id":` + strings.Repeat("1", size) + "}",
		"one id of escapes":  `{"id":"` + strings.Repeat(`\ud83d\ude00`, size/12) + `"}`,
		"ids in a long list": `{"id":[` + strings.Repeat(`"\u0061",`, size/9) + "1]}",
	} {
		t.Run(about, func(t *testing.T) {
			checkCost(t, len(body), func() {
				if o, err := parseObject([]byte(body)); err == nil {
					_, _ = o.emit()
				}
			})
		})
	}
}

// A body of any type counts for the budget while it is read, and is refused by its announced size alone.
func TestBoundsOfEveryType(t *testing.T) {
	b := newBench(t)
	heard := b.listen("u")
	var parts bytes.Buffer
	w := multipart.NewWriter(&parts)
	_ = w.WriteField("data", strings.Repeat("1", 4096))
	_ = w.Close()
	for contentType, body := range map[string]string{
		jsonType:                  `{"data":` + strings.Repeat("1", 4096) + "}",
		w.FormDataContentType():   parts.String(),
		"application/vnd.x+json":  strings.Repeat(" ", 4097),
		"text/plain; charset=utf": strings.Repeat("x", 4097),
	} {
		answer := raw(t, b, "POST /emit?id=u&message=e HTTP/1.1\r\nHost: x\r\nContent-Type: "+contentType+"\r\nContent-Length: "+fmt.Sprint(len(body))+"\r\nExpect: 100-continue\r\n\r\n")
		if status, body := answer.StatusCode, text(t, answer); status != 413 || body != "ERROR" {
			t.Errorf("%s, before the body: %d %q", contentType, status, body)
		}
		r, err := http.NewRequest("POST", b.http.URL+"/emit?id=u&message=e", io.MultiReader(strings.NewReader(body))) // chunked
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", contentType)
		if status, body := b.send(r); status != 413 || body != "ERROR" {
			t.Errorf("%s, chunked: %d %q", contentType, status, body)
		}
	}
	if got := heard(); got != "" {
		t.Errorf("heard %s", got)
	}
}
