package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

type golden struct {
	Subjects []struct{ Project, ID, Subject string }
	Payloads []struct {
		Event   string
		Args    []string
		Payload string
	}
	Receipts []string
	Stats    []string
}

// The golden bytes are the contract: a program that speaks version 1 depends
// on them, so they are added to, never changed.
func TestGolden(t *testing.T) {
	raw, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var want golden
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	for _, c := range want.Subjects {
		got, err := Subject(c.Project, c.ID)
		if err != nil || got != c.Subject {
			t.Errorf("Subject(%q, %q) = %q, %v; want %q", c.Project, c.ID, got, err, c.Subject)
		}
	}
	for _, c := range want.Payloads {
		args := make([][]byte, len(c.Args))
		for i, arg := range c.Args {
			args[i] = []byte(arg)
		}
		got, err := Encode(c.Event, args...)
		if err != nil || string(got) != c.Payload {
			t.Errorf("Encode(%q, %q) = %s, %v; want %s", c.Event, c.Args, got, err, c.Payload)
		}
		if err := Check(got); err != nil {
			t.Errorf("Check(%s): %v", got, err)
		}
	}
	for _, c := range want.Receipts {
		if r, err := ParseReceipt([]byte(c)); err != nil || string(r.Append(nil)) != c {
			t.Errorf("receipt %q: %+v, %v", c, r, err)
		}
	}
	for _, c := range want.Stats {
		if s, err := ParseStat([]byte(c)); err != nil || string(s.Append(nil)) != c {
			t.Errorf("stat %q: %+v, %v", c, s, err)
		}
	}
}

func TestSubjectRefuses(t *testing.T) {
	for _, id := range []string{"", strings.Repeat("x", MaxID+1), strings.Repeat("я", MaxID/2+1), "a\xff", "\xed\xa0\x80"} {
		if got, err := Subject("", id); !errors.Is(err, ErrID) {
			t.Errorf("Subject(%q) = %q, %v; want ErrID", id, got, err)
		}
	}
	for _, project := range []string{"*", ">", "a.b", "a b", "магазин", strings.Repeat("p", MaxProject+1)} {
		if got, err := Subject(project, "42"); !errors.Is(err, ErrProject) {
			t.Errorf("Subject(%q, 42) = %q, %v; want ErrProject", project, got, err)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	for _, event := range []string{"connect", "disconnect", "connect_error", "\xff"} {
		if _, err := Encode(event); !errors.Is(err, ErrEvent) {
			t.Errorf("Encode(%q): %v; want ErrEvent", event, err)
		}
	}
	for _, data := range []string{"", "{bad", "1 2", "\"\xcf\xf0\xe8\xe2\xe5\xf2\"", "undefined"} {
		if _, err := Encode("e", []byte(data)); !errors.Is(err, ErrData) {
			t.Errorf("Encode(e, %q): %v; want ErrData", data, err)
		}
	}
}

func TestCheck(t *testing.T) {
	for payload, want := range map[string]error{
		`["alert","hi"]`:       nil,
		`[ "alert" , {} ]`:     nil,
		`["q\"]"]`:             nil,
		`[""]`:                 nil,
		``:                     ErrPayload,
		`[]`:                   ErrPayload,
		`[1]`:                  ErrPayload,
		`"alert"`:              ErrPayload,
		`{"a":1}`:              ErrPayload,
		`["a"`:                 ErrPayload,
		"[\"a\",\"\xff\"]":     ErrPayload,
		`["disconnect",1]`:     ErrEvent,
		`["dis\u0063onnect"]`:  ErrEvent,
		`["connect_error",{}]`: ErrEvent,
	} {
		if err := Check([]byte(payload)); !errors.Is(err, want) {
			t.Errorf("Check(%s) = %v; want %v", payload, err, want)
		}
	}
}

func TestReceiptRefuses(t *testing.T) {
	for _, s := range []string{"", "1", "-1 n", "x n", " n"} {
		if r, err := ParseReceipt([]byte(s)); err == nil {
			t.Errorf("ParseReceipt(%q) = %+v", s, r)
		}
		if r, err := ParseStat([]byte("1 " + s)); err == nil {
			t.Errorf("ParseStat(1 %q) = %+v", s, r)
		}
	}
}

// No two ids share a subject, and no id yields a wildcard or a second token.
func FuzzSubject(f *testing.F) {
	f.Add("42", "*")
	f.Add("a.b", ">")
	f.Add("=", "вася")
	f.Add("=Kg", "*")
	f.Add(strings.Repeat("a", 128), strings.Repeat("a", 129))
	f.Fuzz(func(t *testing.T, a, b string) {
		subjectA, errA := Subject("", a)
		subjectB, errB := Subject("", b)
		for subject, err := range map[string]error{subjectA: errA, subjectB: errB} {
			if err != nil {
				continue
			}
			token, ok := strings.CutPrefix(subject, "user.")
			if !ok || token == "" || strings.ContainsAny(token, ".*> \t\r\n\x00") || len(subject) > 400 {
				t.Fatalf("subject %q", subject)
			}
		}
		if errA == nil && errB == nil && a != b && subjectA == subjectB {
			t.Fatalf("%q and %q share %q", a, b, subjectA)
		}
	})
}

// The result of Encode passes Check, is JSON, and contains the event and the arguments unchanged.
func FuzzEncode(f *testing.F) {
	f.Add("alert", []byte(`{"a":1}`))
	f.Add("вход 😀\n\u2028", []byte(`"<b>\/"`))
	f.Add("disconnect", []byte(`null`))
	f.Fuzz(func(t *testing.T, event string, data []byte) {
		payload, err := Encode(event, data)
		if err != nil {
			return
		}
		if err := Check(payload); err != nil {
			t.Fatalf("Check(%s): %v", payload, err)
		}
		var list []json.RawMessage
		var got string
		if err := json.Unmarshal(payload, &list); err != nil || len(list) != 2 {
			t.Fatalf("%s: %v", payload, err)
		}
		if err := json.Unmarshal(list[0], &got); err != nil || got != event {
			t.Fatalf("event %q became %q, %v", event, got, err)
		}
		if !bytes.Equal(list[1], bytes.TrimSpace(data)) || !utf8.Valid(payload) {
			t.Fatalf("data %q became %q", data, list[1])
		}
	})
}

// Check does not panic for any bytes.
func FuzzCheck(f *testing.F) {
	f.Add([]byte(`["alert","hi"]`))
	f.Add([]byte(` [ "q\"]" ]`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		if Check(payload) != nil {
			return
		}
		var list []any
		if err := json.Unmarshal(payload, &list); err != nil || len(list) == 0 {
			t.Fatalf("%q passed: %v", payload, err)
		}
		if event, ok := list[0].(string); !ok || Reserved(event) {
			t.Fatalf("%q passed", payload)
		}
	})
}

// The options of a message survive NATS, and a message without options has no headers.
func TestMessageOptions(t *testing.T) {
	if h := (Message{Subject: "user.42", Payload: []byte(`["e"]`)}).Header(); h != nil {
		t.Errorf("a message without options has the headers %v", h)
	}
	for _, m := range []Message{
		{Subject: "user.42", Payload: []byte(`["e"]`)},
		{Subject: "user.42", Op: OpCount},
		{Subject: "user.42", Payload: []byte(`["e"]`), Except: "abc"},
	} {
		header := m.Header()
		if got := ParseMessage(m.Subject, header, m.Payload); !reflect.DeepEqual(got, m) {
			t.Errorf("%+v became %+v by way of %v", m, got, header)
		}
	}
	stranger := map[string][]string{"Doit-Unknown": {"x"}, HeaderOp: nil}
	if got := ParseMessage("user.42", stranger, nil); !reflect.DeepEqual(got, Message{Subject: "user.42"}) {
		t.Errorf("unknown and empty headers became %+v", got)
	}
}
