package legacy

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// maxParameters bounds the parts between ampersands in one form.
	maxParameters = 10_000

	// maxDepth is how many bracket groups of a key are followed; the rest of the key is one name.
	maxDepth = 32

	// minArrayLimit is body-parser's arrayLimit for forms of few parameters. A larger form raises it to the number of
	// its parameters, so that no list outgrows it: only an index can reach it.
	minArrayLimit = 100
)

var errTooManyParameters = errors.New("too many parameters")

// form is an urlencoded body, or the query string of a POST, as Express 4 read it: body-parser with extended: true,
// which is the npm package qs (6.17) with allowPrototypes, a depth of 32 and an arrayLimit of at least 100.
//
// A value is a text, a list or a map of values. Values are decoded when they are asked for, each time anew. The names
// asked for must not be empty, a number or "__proto__": those qs treats in ways that no emit needs.
type form struct {
	fields     []field
	arrayLimit int
}

// field is one part of a form: its key decoded, its value as it was sent.
type field struct {
	key, raw string
}

// parseForm splits a body into its fields. Bytes that are not UTF-8 count as U+FFFD, as Node reads a body, and a byte
// order mark in front is dropped. The only error is errTooManyParameters, beyond maxParameters.
func parseForm(body string) (form, error) {
	parameters := strings.Count(body, "&") + 1
	if parameters > maxParameters {
		return form{}, errTooManyParameters
	}
	f := form{
		fields:     make([]field, 0, parameters),
		arrayLimit: max(minArrayLimit, parameters),
	}
	body = validUTF8(strings.TrimPrefix(body, "\ufeff"))
	for part := range strings.SplitSeq(body, "&") {
		key, raw := cutField(part)
		if key = unescape(key); key != "" {
			f.fields = append(f.fields, field{key, raw})
		}
	}
	return f, nil
}

// text returns the value of name as JavaScript's String(value) gives it: the elements of a list are joined by commas,
// a map is "[object Object]". It returns false if the form has no such name.
func (f form) text(name string) (string, bool) {
	v, ok := f.value(name)
	return v.String(), ok
}

// texts returns the value of name as a list: a text is a list of one, a list or a map gives the String of each element
// in JavaScript's order. It returns false if the form has no such name.
func (f form) texts(name string) ([]string, bool) {
	v, ok := f.value(name)
	switch {
	case !ok:
		return nil, false
	case v.in == nil:
		return []string{v.text}, true
	}
	texts := make([]string, 0, len(v.in.entries))
	for _, e := range v.in.sorted() {
		texts = append(texts, e.value.String())
	}
	return texts, true
}

// value builds the value of name from all fields whose key begins with it.
func (f form) value(name string) (value, bool) {
	var first, named int
	for i := len(f.fields) - 1; i >= 0; i-- {
		if root, _, _ := cutRoot(f.fields[i].key); root == name {
			first = i
			named++
		}
	}
	if named == 0 {
		return value{}, false
	}
	if only := f.fields[first]; named == 1 && only.key == name {
		return value{text: unescape(only.raw)}, true
	}

	// Fields with the same key are one list before qs looks into any key.
	same := container{entries: make([]entry, 0, named)}
	for _, field := range f.fields[first:] {
		if root, _, _ := cutRoot(field.key); root != name {
			continue
		}
		k, v := key{number: notNumber, name: field.key}, value{text: unescape(field.raw)}
		switch i := same.find(k); {
		case i < 0:
			same.set(k, v)
		case same.entries[i].value.in == nil:
			same.entries[i].value = newList(same.entries[i].value, v)
		default:
			same.entries[i].value.in.push(v)
		}
	}

	result := f.nest(same.entries[0])
	for _, e := range same.entries[1:] {
		result = merge(result, f.nest(e), f.arrayLimit)
	}
	return result, true
}

// nest wraps a value in the containers that the bracket groups of its key ask for.
func (f form) nest(e entry) value {
	v := e.value
	var groups [maxDepth + 1]string
	for _, group := range slices.Backward(splitGroups(groups[:0], e.key.name)) {
		if group == "" {
			if v.in == nil || !v.in.isList && !v.in.grows {
				v = newList(v)
			}
			continue
		}
		outer := &container{last: notNumber}
		k := parseKey(group)
		if k.number != notNumber {
			outer.isList = k.number < float64(f.arrayLimit)
			outer.grows = !outer.isList
		}
		if group != "__proto__" {
			outer.set(k, v)
		}
		v = value{in: outer}
	}
	return v
}

// cutField cuts a part at the equals sign after a closing bracket, or else at the first one.
func cutField(part string) (key, raw string) {
	first := strings.IndexByte(part, '=')
	if first < 0 {
		return part, ""
	}
	for at := first; ; {
		if key = part[:at]; endsInBracket(key) {
			return key, part[at+1:]
		}
		next := strings.IndexByte(part[at+1:], '=')
		if next < 0 {
			return part[:first], part[first+1:]
		}
		at += 1 + next
	}
}

func endsInBracket(key string) bool {
	return strings.HasSuffix(key, "]") || strings.HasSuffix(key, "%5D") || strings.HasSuffix(key, "%5d")
}

// cutRoot returns the name that a key begins with, the rest of the key from its next bracket, and how many bracket
// groups of the rest are followed. The name may itself stand in brackets: "[id][0]" is "id[0]".
func cutRoot(key string) (root, rest string, depth int) {
	switch open := strings.IndexByte(key, '['); {
	case open < 0:
		return key, "", maxDepth
	case open > 0:
		return key[:open], key[open:], maxDepth
	}
	root, rest = cutGroup(key)
	return root, rest, maxDepth - 1
}

// splitGroups appends what stands in the bracket groups of a key behind its root.
func splitGroups(groups []string, key string) []string {
	_, rest, depth := cutRoot(key)
	for rest != "" {
		if len(groups) == depth {
			return append(groups, rest)
		}
		var group string
		group, rest = cutGroup(rest)
		groups = append(groups, group)
	}
	return groups
}

// cutGroup cuts the bracket group that s starts with from the next one. A group that nothing closes is all of s, its
// bracket included; what stands between two groups is dropped.
func cutGroup(s string) (group, rest string) {
	level := 0
	for i := range len(s) {
		switch s[i] {
		case '[':
			level++
		case ']':
			if level--; level > 0 {
				continue
			}
			if next := strings.IndexByte(s[i:], '['); next >= 0 {
				rest = s[i+next:]
			}
			return s[1:i], rest
		}
	}
	return s, ""
}

// literals is what qs still decodes in a text that decodeURIComponent refuses.
var literals = strings.NewReplacer("+", " ", "%5B", "[", "%5b", "[", "%5D", "]", "%5d", "]")

// unescape decodes a text as decodeURIComponent does, with plus as space. A text with a broken escape, or whose escapes
// are not UTF-8, stays as it is but for its pluses and brackets. s must be valid UTF-8.
func unescape(s string) string {
	escapes := strings.Count(s, "%")
	if escapes == 0 {
		return strings.ReplaceAll(s, "+", " ")
	}
	if len(s) < 3*escapes {
		return literals.Replace(s)
	}
	var b strings.Builder
	b.Grow(len(s) - 2*escapes)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '+':
			b.WriteByte(' ')
		case '%':
			c, ok := unhex(s[i+1:])
			if !ok {
				return literals.Replace(s)
			}
			b.WriteByte(c)
			i += 2
		default:
			b.WriteByte(c)
		}
	}
	if decoded := b.String(); utf8.ValidString(decoded) {
		return decoded
	}
	return literals.Replace(s)
}
