package legacy

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// param is a parameter of a query string with all of its values, in their order in the query string.
type param struct {
	name   string
	values []string
}

// parseQuery decodes the query string of a GET as Node's querystring.parse does with maxKeys: 0:
//
//   - Parameters are in the order of their first appearance. Only the ampersand separates them. Empty ones are skipped.
//   - Plus is a space. An incomplete escape stays as it is.
//   - Invalid UTF-8 becomes U+FFFD. A byte above 0x7F means the same with and without escaping.
//
// It has no limit of its own: the HTTP server limits the length of the request line.
func parseQuery(raw string) []param {
	const linearSearch = 8 // up to so many names are searched without a map
	var params []param
	var places map[string]int // index in params by name; nil while there are few
	find := func(name string) int {
		if places != nil {
			if i, ok := places[name]; ok {
				return i
			}
			return -1
		}
		for i := range params {
			if params[i].name == name {
				return i
			}
		}
		return -1
	}
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		name, value = unescapeQuery(name), unescapeQuery(value)
		if i := find(name); i >= 0 {
			params[i].values = append(params[i].values, value)
			continue
		}
		params = append(params, param{name, []string{value}})
		switch n := len(params); {
		case places != nil:
			places[name] = n - 1
		case n > linearSearch:
			places = make(map[string]int, 2*n)
			for i, p := range params {
				places[p.name] = i
			}
		}
	}
	return params
}

// unescapeQuery decodes every complete escape of a text, as querystring.unescape does, and plus as space. Invalid UTF-8
// becomes U+FFFD.
func unescapeQuery(s string) string { return validUTF8(decodeQuery(s)) }

// isUTF8 reports whether an urlencoded text is UTF-8 once it is decoded.
func isUTF8(encoded string) bool { return utf8.ValidString(decodeQuery(encoded)) }

// replacedInQuery reports whether a query string is not UTF-8, and what was read of it shows that.
func replacedInQuery(rawQuery, id, event string, data []byte) bool {
	const replacement = "\ufffd"
	shows := bytes.Contains(data, []byte(replacement)) || strings.Contains(event, replacement) || strings.Contains(id, replacement)
	return shows && !isUTF8(rawQuery)
}

// decodeQuery is unescapeQuery, but leaves what is not UTF-8.
func decodeQuery(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return strings.ReplaceAll(s, "+", " ")
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch c {
		case '+':
			c = ' '
		case '%':
			if decoded, ok := unhex(s[i+1:]); ok {
				c = decoded
				i += 2
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}

// unhex decodes the two hexadecimal digits at the start of s. It returns false if s does not start with two.
func unhex(s string) (byte, bool) {
	if len(s) < 2 {
		return 0, false
	}
	high, low := nibbles[s[0]], nibbles[s[1]]
	return (high-1)<<4 | (low - 1), high != 0 && low != 0
}

// nibbles maps each hexadecimal digit to its value plus one, and any other byte to zero.
var nibbles = func() (table [256]byte) {
	for i, digit := range []byte("0123456789abcdef") {
		table[digit] = byte(i) + 1
	}
	for i, digit := range []byte("ABCDEF") {
		table[digit] = byte(i) + 11
	}
	return table
}()

// validUTF8 replaces invalid UTF-8 as Node and browsers do: each truncated character, and each byte that cannot start a
// character, becomes one U+FFFD. strings.ToValidUTF8 differs: it writes one for a whole run of invalid bytes.
func validUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 2*utf8.UTFMax)
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		b.WriteRune(r)
		if r == utf8.RuneError && n == 1 {
			for n < len(s) && !utf8.FullRuneInString(s[:n+1]) {
				n++
			}
		}
		s = s[n:]
	}
	return b.String()
}
