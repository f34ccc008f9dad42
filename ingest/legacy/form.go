package legacy

import (
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// maxParameters is the largest number of parameters, the parts between ampersands, in one form, and of parts in one
	// multipart body.
	maxParameters = 10_000

	// maxDepth is how many bracket groups of a key are nested. The rest of the key is taken as one name.
	maxDepth = 32

	// minArrayLimit is the smallest arrayLimit, the index from which on qs makes a map instead of a list. body-parser
	// raises it to the number of parameters of the form. So only an explicit index can exceed it, not a list's length.
	minArrayLimit = 100
)

// form is an urlencoded body, or the query string of a POST. It is parsed as Express 4 did: by body-parser with
// extended: true, which calls the npm package qs (6.17) with allowPrototypes, a depth of 32 and an arrayLimit of at
// least 100.
//
// A value is a text, a list of values or a map of values. Each call of text or texts decodes it again. Their argument
// is the name of a field of an emit. qs treats an empty name, a number and "__proto__" in ways of its own, which this type
// does not imitate, because no field has such a name.
//
// A multipart body is a form, too, whose values are plain: they have no escapes.
type form struct {
	fields     []field
	arrayLimit int
	plain      bool
	replaced   bool // invalid UTF-8 became U+FFFD
}

// field is one parameter of a form: key is decoded, raw is the value as it was sent.
type field struct {
	key, raw string
}

// parseForm splits a body into its fields. It replaces invalid UTF-8 by U+FFFD, as Node does when it reads a body, and
// drops a leading byte order mark. The only error is errTooManyParameters.
func parseForm(body string) (form, error) {
	parameters := strings.Count(body, "&") + 1
	if parameters > maxParameters {
		return form{}, errTooManyParameters
	}
	f := form{
		fields:     make([]field, 0, parameters),
		arrayLimit: max(minArrayLimit, parameters),
	}
	body = strings.TrimPrefix(body, "\ufeff")
	if f.replaced = !utf8.ValidString(body); f.replaced {
		body = validUTF8(body)
	}
	for part := range strings.SplitSeq(body, "&") {
		key, raw := cutField(part)
		if key = unescape(key); key != "" {
			f.fields = append(f.fields, field{key, raw})
		}
	}
	return f, nil
}

// text returns the value of name, converted as JavaScript's String(value) does: a list is joined by commas, a map is
// "[object Object]". It returns false if the form has no such name.
func (f form) text(name string) (string, bool) {
	v, ok := f.value(name)
	return v.String(), ok
}

// texts returns the value of name as a list. A text becomes a list of one. Of a list or a map it returns the elements
// in JavaScript's order, each converted as by String(value). It returns false if the form has no such name.
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

// value builds the value of name from all fields whose key is name or name followed by bracket groups.
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
		return value{text: f.decode(only.raw)}, true
	}

	// As qs does: first collect the values of equal keys into lists, then expand the bracket groups of each key.
	same := container{entries: make([]entry, 0, named)}
	for _, field := range f.fields[first:] {
		if root, _, _ := cutRoot(field.key); root != name {
			continue
		}
		k, v := key{number: notNumber, name: field.key}, value{text: f.decode(field.raw)}
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

// decode returns the text that a value stands for.
func (f form) decode(raw string) string {
	if f.plain {
		return raw
	}
	return unescape(raw)
}

// nest wraps a value in the lists and maps that the bracket groups of its key describe, from the last group outwards.
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

// cutField splits a parameter into key and value: at the first equals sign directly behind a closing bracket, or
// at the first equals sign if there is none.
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

// cutRoot splits a key into its root name and its bracket groups, and returns the largest number of groups to nest. The
// root may itself be in brackets: "[id][0]" means "id[0]".
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

// splitGroups appends the contents of the bracket groups of a key, without its root, to groups.
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

// cutGroup splits s, which starts with a bracket, into the contents of its first bracket group and the rest from the
// next opening bracket on. Text between two groups is dropped. If the first group is not closed, group is all of s.
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

// literals are the escapes that qs decodes even in a text that decodeURIComponent rejects.
var literals = strings.NewReplacer("+", " ", "%5B", "[", "%5b", "[", "%5D", "]", "%5d", "]")

// unescape decodes a text as decodeURIComponent does, with plus as space. If an escape is incomplete, or the escapes
// are not valid UTF-8, it decodes literals only. s must be valid UTF-8.
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
