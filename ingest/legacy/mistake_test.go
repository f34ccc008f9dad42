package legacy

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ramainen/doit-socket/ingest/publish"
	"github.com/ramainen/doit-socket/internal/router"
	"github.com/ramainen/doit-socket/internal/wire"
)

// A witness is an API with its log and its metrics.
type witness struct {
	routes *router.Router
	log    bytes.Buffer
	reg    *prometheus.Registry
}

func newWitness(p *publish.Publisher, change func(*API)) *witness {
	w := &witness{routes: router.New(), reg: prometheus.NewRegistry()}
	api := New(Config{MaxBody: 4096}, p, slog.New(slog.NewTextHandler(&w.log, nil)), w.reg)
	if change != nil {
		change(api)
	}
	api.Mount(w.routes)
	return w
}

// ask sends a request; headers are pairs of a name and a value.
func (w *witness) ask(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Add(headers[i], headers[i+1])
	}
	answer := httptest.NewRecorder()
	w.routes.ServeHTTP(answer, r)
	return answer
}

// counted returns the counters of mistakes that are not zero.
func (w *witness) counted(t *testing.T) map[string]int {
	t.Helper()
	families, err := w.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]int{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == "doit_ingest_mistakes_total" && m.GetCounter().GetValue() > 0 {
				counted[m.GetLabel()[0].GetValue()] = int(m.GetCounter().GetValue())
			}
		}
	}
	return counted
}

// What a sender does wrong is answered as the original did, or as docs/protocol.md says, and Doit-Error says what it is.
// It is counted by its kind, and logged in the same words.
func TestMistakes(t *testing.T) {
	b := newBench(t)
	heard := b.listen("u", "\ufffd", "%CF")
	seen := map[string]bool{}
	local := func(a *API) { a.Local = true }
	const post, get = "POST /emit", "GET /emit"
	for _, c := range []struct {
		request, contentType, body string
		answer, kind, reason       string
		change                     func(*API)
	}{
		{post, formType, "message=e", "200 ERROR", kindNoID, "there is no field id: send id ", nil},
		{post, formType, "userid=u&message=e", "200 ERROR", kindNoID, "did you mean id instead of userid?", nil},
		{post, formType, "User_ID[]=u&message=e", "200 ERROR", kindNoID, "did you mean id instead of User_ID?", nil},
		{post, formType, "ID=u&message=e", "200 ERROR", kindNoID, "did you mean id instead of ID?", nil},
		{post + "?to=u", formType, "message=e", "200 ERROR", kindNoID, "did you mean id instead of to?", nil},
		{post, jsonType, `{"userId":"u","message":"e"}`, "200 ERROR", kindNoID, "did you mean id instead of userId?", nil},
		{post, jsonType, `{"id":[],"message":"e"}`, "200 ERROR", kindNoID, "the field id is an empty list", nil},
		{post, formType, "", "200 ERROR", kindNoID, "there is no field id", nil},
		{post, formType, "id=u&event=e", "200 ERROR", kindNoMessage, "did you mean message instead of event?", nil},
		{post, jsonType, `{"id":"u","\u006dsg":"e"}`, "200 ERROR", kindNoMessage, "did you mean message instead of msg?", nil},
		{post, formType, "id=u&data=1", "200 ERROR", kindNoMessage, "there is no field message: send ", nil},
		{post, formType, "id=u&message=e&payload=1", "200 OK", kindData, "did you mean data instead of payload?", nil},
		{post, jsonType, `{"id":"u","message":"e","Data":1}`, "200 OK", kindData, "did you mean data instead of Data?", nil},
		{post, formType, "id=&message=e", "200 ERROR", kindID, "the field id is empty", nil},
		{post, formType, "id=Array&message=e", "200 ERROR", kindID, "the word Array", nil},
		{post, formType, "id=" + strings.Repeat("x", 257) + "&message=e", "400 ERROR", kindID, "longer than 256 bytes", nil},
		{post, jsonType, `{"id":1.5,"message":"e"}`, "400 ERROR", kindID, "send it as a string", nil},
		{post, jsonType, `{"id":{"a":[]},"message":"e"}`, "400 ERROR", kindID, "neither a string nor a whole number", nil},
		{post, formType, "id=u&message=connect", "200 ERROR", kindEvent, "reserves", nil},
		{post, jsonType, `{"id":"u","message":{}}`, "400 ERROR", kindEvent, "is not a string", nil},
		{post, formType, "id=u&message=e&data[text]=Hi", "400 ERROR", kindData, "send json_encode($data)", nil},
		{post, formType, "id=u&message=e&data=", "400 ERROR", kindData, "mb_convert_encoding(", nil},
		{post, formType, strings.Repeat("id=u&", 17) + "message=e", "400 ERROR", kindReceivers, "at most 16 times", nil},
		{post, formType, "id=u&message=\xcf", "200 OK", kindEncoding, "iconv(", nil},
		{post, formType, "id=u&message=%CF%F0", "200 OK", kindEncoding, "mb_convert_encoding(", nil},
		{post, formType, "id=u&message=e&data=%22%CF%F0%22", "400 ERROR", kindEncoding, "mb_convert_encoding(", nil},
		{post, formType, "id=%CF&message=e&data=1", "200 OK", kindEncoding, "is not UTF-8", nil},
		{post, formType, "id=n%CF&message=e&data=1", "200 ERROR", kindEncoding, "is not UTF-8", nil},
		{post + "?id=u&message=%CF", formType, "data=1", "200 OK", kindEncoding, "is not UTF-8", nil},
		{post, jsonType, "{\"id\":\"\xcf\",\"message\":\"e\"}", "400 ERROR", kindEncoding, "is not UTF-8", nil},
		{post, jsonType, `{"id":"\udc00","message":"e"}`, "400 ERROR", kindEncoding, "surrogate", nil},
		{post, "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=id\r\n\r\n\xcf\r\n--b--", "400 ERROR", kindEncoding, "is not UTF-8", nil},
		{post, jsonType, "id=u&message=e", "400 ERROR", kindBody, "is not the JSON", nil},
		{post, jsonType, `["u"]`, "400 ERROR", kindBody, "is not an object", nil},
		{post, "multipart/form-data", "x", "400 ERROR", kindBody, "has no boundary", nil},
		{post, "multipart/form-data; boundary=b", "x", "400 ERROR", kindBody, "is not the multipart/form-data", nil},
		{post, "text/plain", "id=u&message=e", "200 ERROR", kindContentType, `the Content-Type "text/plain" is not read`, nil},
		{post + "?id=u&message=e", "text/plain", `{"a":1}`, "200 OK", kindContentType, "is not read", nil},
		{post, "a/" + strings.Repeat("b", 200) + "\"\xff", "x", "200 ERROR", kindContentType, `the Content-Type "a/bbb`, nil},
		{post, formType, `{"id":"u","message":"e"}`, "200 ERROR", kindContentType, "Content-Type: application/json", nil},
		{post, formType, strings.Repeat("x", 4097), "413 ERROR", kindTooLarge, "--max-body", nil},
		{"PUT /emit?id=u&message=e", "", "", "405 ERROR", kindMethod, "/emit takes POST and GET", nil},
		{"HEAD /emit?id=u&message=e", "", "", "405 ERROR", kindMethod, "/emit takes POST and GET", nil},
		{"POST /stat/all", "", "", "405 ERROR", kindMethod, "/stat/all takes GET and HEAD", nil},
		{get, "", "", "200 ERROR", kindNoID, "there is no field id", nil},
		{get + "?userid=u&message=e", "", "", "200 ERROR", kindNoID, "did you mean id instead of userid?", nil},
		{get + "?id[]=u&message=e", "", "", "200 ERROR", kindReceivers, "by POST", nil},
		{get + "?id=u&id=v&message=e", "", "", "200 OK", kindReceivers, "nothing was sent", nil},
		{get + "?id=u&event=e", "", "", "200 ERROR", kindNoMessage, "did you mean message instead of event?", nil},
		{get + "?id=&message=e", "", "", "200 ERROR", kindID, "the field id is empty", nil},
		{get + "?id=u&message=e&text=%CF%F0", "", "", "200 OK", kindEncoding, "the query string is not UTF-8", nil},
		{get + "?id=%CF&message=e", "", "", "200 OK", kindEncoding, "the query string is not UTF-8", nil},
		{get + "?id=u&message=disconnect", "", "", "200 ERROR", kindEvent, "reserves", nil},
		{get + "?id=u&message=e", "X-Forwarded-For", "", "403 ERROR", kindForwarded, "--emit-listen, or set --open", local},
		{get + "?id=u&message=e", "Origin", "", "403 ERROR", kindForeignPage, "--emit-listen, name the site in --origins, or set --open", local},
		{"POST /emit", "Content-Encoding", "x", "415 ERROR", kindContentEncoding, `"https://evil.example"`, nil},
	} {
		w := newWitness(b.publisher, c.change)
		method, target, _ := strings.Cut(c.request, " ")
		headers := []string{"Content-Type", c.contentType}
		if name := c.contentType; name == "Origin" || name == "X-Forwarded-For" || name == "Content-Encoding" {
			headers = []string{name, "https://evil.example"}
		}
		got := w.ask(method, target, c.body, headers...)
		about := c.request + " " + c.body[:min(len(c.body), 40)]
		reason := got.Header().Get("Doit-Error")
		if answer := fmt.Sprint(got.Code, " ", got.Body); answer != c.answer {
			t.Errorf("%s: %s, want %s", about, answer, c.answer)
		}
		if !strings.Contains(reason, c.reason) || !headerText.MatchString(reason) {
			t.Errorf("%s: Doit-Error is %q, want %q", about, reason, c.reason)
		}
		if counted := w.counted(t); len(counted) != 1 || counted[c.kind] != 1 {
			t.Errorf("%s: counted %v, want one %q", about, counted, c.kind)
		}
		if logged := w.log.String(); strings.Count(logged, "\n") != 1 ||
			!strings.Contains(logged, fmt.Sprintf("level=WARN msg=\"a request for /emit or /stat/all has a mistake: %s\" reason=", c.kind)) ||
			!strings.Contains(strings.ReplaceAll(logged, `\`, ""), strings.ReplaceAll(reason, `\`, "")) {
			t.Errorf("%s: logged %s", about, logged)
		}
		seen[c.kind] = true
	}
	for _, kind := range kinds {
		if !seen[kind] {
			t.Errorf("%s: no case", kind)
		}
	}
	heard()
}

// headerText is what a header may have: one line of ASCII, of bounded length.
var headerText = regexp.MustCompile(`^[ -~]{1,600}$`)

// What is no mistake has no Doit-Error, and writes nothing into the log: also that nobody is connected.
func TestNoMistakes(t *testing.T) {
	b := newBench(t)
	b.listen("u", "\ufffd", "%CF")
	for _, c := range []struct{ request, contentType, body, answer string }{
		{"POST /emit", formType, "id=u&message=e", "200 OK"},
		{"POST /emit", formType, "id=n&message=e", "200 ERROR"},
		{"POST /emit", formType, "id=u&message=e&data=1&payload=2", "200 OK"},
		{"POST /emit", formType, "id=%25CF&message=e%25CF", "200 OK"},
		{"POST /emit", formType, "id=%EF%BF%BD&message=e", "200 OK"},
		{"POST /emit", formType, "id=u&message=100%", "200 OK"},
		{"POST /emit", jsonType, `{"id":"%CF","message":"\ufffd"}`, "200 OK"},
		{"POST /emit?id=u&message=e", "text/plain", "", "200 OK"},
		{"GET /emit?id=n&message=e", "", "", "200 OK"},
		{"GET /emit?id=%EF%BF%BD&message=e", "", "", "200 OK"},
		{"GET /emit?id=u&message=e&userid=v&event=x", "", "", "200 OK"},
	} {
		w := newWitness(b.publisher, nil)
		method, target, _ := strings.Cut(c.request, " ")
		got := w.ask(method, target, c.body, "Content-Type", c.contentType)
		if answer := fmt.Sprint(got.Code, " ", got.Body); answer != c.answer || got.Header()["Doit-Error"] != nil || w.log.Len() > 0 || len(w.counted(t)) > 0 {
			t.Errorf("%s %s: %s, Doit-Error %q, %v, logged %s", c.request, c.body, answer, got.Header()["Doit-Error"], w.counted(t), w.log.String())
		}
	}
}

// An emit that failed is told why, but is nobody's mistake.
func TestFailuresAreNoMistakes(t *testing.T) {
	b := newLimitedBench(t, publish.Config{MaxEmits: 1})
	w := newWitness(b.publisher, nil)
	b.publisher.UseGateway(func() bool { return true }, func(context.Context, time.Duration, wire.Message, []string, bool) []int {
		if got := w.ask("GET", "/emit?id=u&message=e", ""); got.Code != 503 || !strings.Contains(got.Header().Get("Doit-Error"), "--max-emits") {
			t.Errorf("%d %v", got.Code, got.Header())
		}
		return []int{1}
	})
	if got := w.ask("GET", "/emit?id=u&message=e", ""); got.Body.String() != "OK" {
		t.Errorf("%d %s", got.Code, got.Body)
	}
	if w.log.Len() > 0 || len(w.counted(t)) > 0 {
		t.Errorf("counted %v, logged %s", w.counted(t), w.log.String())
	}
}

// No answer may be stored by a cache, and one that refuses a method says which are taken.
func TestAnswersAreNotStored(t *testing.T) {
	b := newBench(t)
	b.listen("u")
	for _, c := range []struct {
		method, target, answer, allow string
	}{
		{"GET", "/emit?id=u&message=e", "200 OK", ""},
		{"GET", "/emit?id=n&message=e", "200 OK", ""},
		{"POST", "/emit?id=n&message=e", "200 ERROR", ""},
		{"POST", "/emit?id=u&message=e&data={", "400 ERROR", ""},
		{"PUT", "/emit", "405 ERROR", "GET, POST"},
		{"OPTIONS", "/emit/", "405 ERROR", "GET, POST"},
		{"GET", "/stat/all", "200 0", ""},
		{"HEAD", "/stat/all", "200 0", ""}, // net/http drops the body
		{"OPTIONS", "/stat/all", "204 ", "GET, HEAD, OPTIONS"},
		{"POST", "/stat/all", "405 ERROR", "GET, HEAD, OPTIONS"},
		{"PROPFIND", "/stat/all", "405 ERROR", "GET, HEAD, OPTIONS"},
		{"GET", "/stat", "404 404 page not found", ""},
	} {
		got := newWitness(b.publisher, nil).ask(c.method, c.target, "", "Content-Type", formType)
		header := got.Result().Header
		if answer := fmt.Sprint(got.Code, " ", got.Body); answer != c.answer || header.Get("Allow") != c.allow || !slices.Equal(header["Cache-Control"], []string{"no-store"}) {
			t.Errorf("%s %s: %s, %v", c.method, c.target, answer, header)
		}
		if (got.Code >= 400) != (header["Doit-Error"] != nil) && got.Code != 404 {
			t.Errorf("%s %s: %d, Doit-Error %q", c.method, c.target, got.Code, header["Doit-Error"])
		}
	}
}

// HEAD of /stat/all is answered as GET is, without a body.
func TestStatHead(t *testing.T) {
	b := newBench(t)
	if got := b.ask("HEAD", "/stat/all", ""); got.status != http.StatusOK || got.header.Get("Content-Length") != "1" {
		t.Errorf("%s %v", got, got.header)
	}
}
