package eio

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// framings are the ways of writing a polling body.
var framings = []struct {
	eio         int
	plain       bool
	contentType string
}{
	{4, false, typeText},
	{3, false, typeBinary},
	{3, true, typeText},
	{2, true, typeText},
}

// Any body is refused or yields packets of the protocol, which together are no
// longer than the body.
func FuzzDecodePayload(f *testing.F) {
	for _, c := range oldClients(f) {
		f.Add(byte(1), c.Sends.Binary)
		f.Add(byte(2), c.Sends.Plain)
	}
	for _, seed := range []struct {
		framing byte // of framings
		body    string
	}{
		{0, "4hello\x1ebAQIDBA==\x1e3probe\x1e1"}, // a packet of each kind
		{0, "4a\x1eb*"}, // base64 that is none
		{0, "4a\x1e"},   // an empty packet
		{0, "4\xff"},    // no UTF-8
		{1, "\x01\x05\xff\x04\x01\x02\x03\x04\x00\x06\xff2probe"},    // bytes, then text
		{1, "\x00\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\xff4"}, // a length of eleven digits
		{1, "\x01\x02\xff24"},            // bytes that are no message
		{1, "\x00\x02\xffx4"},            // a type that does not exist
		{2, "10:b4AQIDBA==6:2probe3:4😀"}, // base64, text, an emoji of two units
		{2, "2:4я"},                      // encoded once, as 2.x does
		{2, "3:4Ñ\u008f"},                // encoded twice, as 1.4 to 1.7 do
		{2, "2:4é"},                      // one byte, which is no UTF-8 by itself
		{2, "2:4😀"},                      // a length that ends within an emoji
		{2, "9:4"},                       // a length beyond the end
		{2, "0:4"},                       // a length of nothing
		{2, "99999999999:4"},             // a length of eleven digits
		{2, "3:b2A"},                     // base64 that is no message
		{2, "3:b4*"},                     // base64 that is none
		{2, "1:x"},                       // a type that does not exist
		{2, "2:4\xff"},                   // no UTF-8
	} {
		f.Add(seed.framing, []byte(seed.body))
	}
	f.Fuzz(func(t *testing.T, framing byte, body []byte) {
		how := framings[int(framing)%len(framings)]
		c := &codec{protocol: how.eio, base64: how.plain}
		size, count := 0, 0
		var again [][]byte
		legal := c.decodePayload(bytes.Clone(body), how.contentType, func(p packet) {
			if p.kind < packetOpen || p.kind > packetNoop || p.binary && p.kind != packetMessage {
				t.Errorf("a packet of kind %d, binary %v", p.kind, p.binary)
			}
			if !p.binary && !utf8.Valid(p.data) {
				t.Errorf("text %q", p.data)
			}
			size += len(p.data)
			count++
			again = append(again, append([]byte{p.kind}, p.data...))
		})
		if size+count > len(body) {
			t.Errorf("%d packets of %d bytes out of %d bytes", count, size, len(body))
		}
		if legal && how.eio == 4 && !bytes.Contains(body, []byte("b")) {
			if got := bytes.Join(again, []byte{separator}); !bytes.Equal(got, body) {
				t.Errorf("%q became %q", body, got)
			}
		}
	})
}

// Packets that are encoded in any framing decode to the same packets.
func FuzzEncodePayload(f *testing.F) {
	f.Add(byte(0), `2["a",{"b":"вася \" \\ 😀"}]`, "x")
	f.Add(byte(1), "", strings.Repeat("y", 130))
	f.Add(byte(2), `"é"`, `"\u00e9"`)
	f.Fuzz(func(t *testing.T, framing byte, one, two string) {
		if !utf8.ValidString(one) || !utf8.ValidString(two) || strings.ContainsRune(one+two, separator) {
			return // neither is in JSON
		}
		how := framings[int(framing)%len(framings)]
		c := &codec{protocol: how.eio, base64: how.plain}
		contentType, size, parts := c.payload([]*Frame{c.forClient(Message([]byte(one))), c.forClient(Message([]byte(one), []byte(two)))})
		var body []byte
		for part := range parts {
			body = append(body, part...)
		}
		if contentType != how.contentType || size != len(body) {
			t.Errorf("Content-Type %q, %d bytes are announced and %d written", contentType, size, len(body))
		}
		var got []string
		legal := (&codec{protocol: how.eio}).decodePayload(body, contentType, func(p packet) {
			got = append(got, string(p.kind)+string(p.data))
		})
		if !legal || len(got) != 2 {
			t.Fatalf("%q is read as %q", body, got)
		}
		for i, sent := range []string{one, one + two} {
			if got[i][0] != packetMessage || !same(sent, got[i][1:], how.eio) {
				t.Errorf("%q became %q", sent, got[i])
			}
		}
	})
}

// same reports whether two texts mean the same: to clients before 3.0, as JSON.
func same(sent, got string, eio int) bool {
	if eio == 4 || sent == got {
		return sent == got
	}
	for _, r := range got {
		if r >= utf8.RuneSelf {
			return false
		}
	}
	var a, b any
	if json.Unmarshal([]byte(sent), &a) != nil {
		return true // no JSON, and never sent
	}
	return json.Unmarshal([]byte(got), &b) == nil && reflect.DeepEqual(a, b)
}
