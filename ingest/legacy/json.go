package legacy

import (
	"bytes"
	"encoding/json"
	"iter"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/ramainen/doit-socket/internal/rawjson"
	"github.com/ramainen/doit-socket/internal/wire"
)

// An object is the JSON body of a POST, without the spaces around it: valid JSON in UTF-8, and an object. It is empty if
// the request has no body.
type object []byte

// parseObject checks a JSON body. PHP's json_encode makes a list of an array that is empty, so [] is an object without
// members. It drops a byte order mark, as body-parser did.
func parseObject(body []byte) (object, error) {
	body = bytes.Trim(bytes.TrimPrefix(body, []byte("\ufeff")), " \t\r\n")
	switch {
	case len(body) == 0:
		return nil, nil
	case !utf8.Valid(body):
		return nil, errNotUTF8
	case !json.Valid(body):
		return nil, errNotJSON
	case body[0] == '{':
		return body, nil
	case body[0] == '[' && len(bytes.Trim(body[1:], " \t\r\n")) == 1:
		return nil, nil
	}
	return nil, errNotObject
}

// emit returns the fields of an emit. Of members with the same name the last one counts, as in JavaScript. A member
// id or message that is null counts as missing. The data is a part of o.
func (o object) emit() (f fields, err error) {
	var id, message []byte
	for name, value := range rawjson.Members(o) {
		switch nameOf(name) {
		case "id":
			id = value
		case "message":
			message = value
		case "data":
			f.data = value
		}
	}
	if f.ids, err = idsOf(id); err != nil {
		return f, err
	}
	switch {
	case isNull(message):
	case message[0] != '"':
		return f, errMessageType
	default:
		f.event, f.hasEvent = unquote(message)
		if !f.hasEvent {
			return f, errLoneSurrogate
		}
	}
	return f, nil
}

func isNull(value []byte) bool { return value == nil || value[0] == 'n' }

// idsOf returns the ids that a member id names: a string, a whole number, or a list of them. PHP's json_encode makes an
// object of an array whose keys are not 0, 1, 2 and so on, as array_unique leaves it, so an object is the list of its
// values. A list that is too long is cut, but not below what the publisher refuses. idsOf returns nil if there is none.
func idsOf(value []byte) (ids []string, err error) {
	if isNull(value) {
		return nil, nil
	}
	var list iter.Seq[[]byte]
	switch value[0] {
	case '[':
		list = rawjson.Elements(value)
	case '{':
		list = func(yield func([]byte) bool) {
			for _, value := range rawjson.Members(value) {
				if !yield(value) {
					return
				}
			}
		}
	default:
		id, err := idOf(value)
		if err != nil {
			return nil, err
		}
		return []string{id}, nil
	}
	ids = []string{}
	for value := range list {
		id, err := idOf(value)
		if err != nil {
			return nil, err
		}
		if ids = append(ids, id); len(ids) > wire.MaxReceivers {
			break
		}
	}
	return ids, nil
}

// idOf returns one id. The digits of a number stand as they are, so a number beyond 2^53 is the id that was sent, and
// not its neighbour. A fraction or an exponent may stand for a number that has lost digits, so both are refused.
func idOf(value []byte) (string, error) {
	switch c := value[0]; {
	case c == '"':
		id, ok := unquote(value)
		if !ok {
			return "", errLoneSurrogate
		}
		return id, nil
	case c != '-' && (c < '0' || c > '9'):
		return "", errIDType
	case bytes.ContainsAny(value, ".eE"):
		return "", errIDNumber
	}
	return string(value), nil
}

// maxEscapedName is the length of the longest name with escapes that is read, as JSON: that of "message" has 44 bytes.
const maxEscapedName = 80

// nameOf returns the name that a JSON string means; "" if it is long and has escapes, or is no text. Names differ in
// case.
func nameOf(quoted []byte) string {
	if len(quoted) > maxEscapedName && bytes.IndexByte(quoted, '\\') >= 0 {
		return ""
	}
	name, _ := unquote(quoted)
	return name
}

// unquote decodes a JSON string, which must be valid. It returns false if the string has half of a UTF-16 surrogate pair:
// encoding/json would make U+FFFD of it, so that different ids became the same.
func unquote(quoted []byte) (text string, ok bool) {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1]), true
	}
	for rest := quoted; len(rest) > 0; {
		first, after := escape(rest)
		if utf16.IsSurrogate(first) {
			var second rune
			if second, after = escape(after); utf16.DecodeRune(first, second) == utf8.RuneError {
				return "", false
			}
		}
		rest = after
	}
	return text, json.Unmarshal(quoted, &text) == nil
}

// escape returns the UTF-16 unit that the first escape \u of s stands for, if s begins with it, and the rest behind the
// escape or byte with which s begins.
func escape(s []byte) (unit rune, rest []byte) {
	switch {
	case len(s) > 5 && s[0] == '\\' && s[1] == 'u':
		n, _ := strconv.ParseUint(string(s[2:6]), 16, 16)
		return rune(n), s[6:]
	case len(s) > 1 && s[0] == '\\':
		return 0, s[2:]
	case len(s) > 0:
		return 0, s[1:]
	}
	return 0, nil
}
