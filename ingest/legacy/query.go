package legacy

import (
	"strings"
	"unicode/utf8"
)

// param is a parameter of a query string with all its values, in the order in which they came.
type param struct {
	name   string
	values []string
}

// parseQuery decodes the query string of a GET as Node's querystring.parse does with maxKeys: 0. Parameters come in the
// order of their first appearance. Broken escapes stay as they are, bytes that are not UTF-8 become U+FFFD, plus is a
// space, only the ampersand separates, and empty parts are skipped. A byte above 0x7F that was sent bare counts as
// escaped. Nothing is refused: the limit is that of the HTTP server on the length of a request line.
func parseQuery(raw string) []param {
	const few = 8
	var params []param
	var places map[string]int // of params, once they are many
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
		case n > few:
			places = make(map[string]int, 2*n)
			for i, p := range params {
				places[p.name] = i
			}
		}
	}
	return params
}

// unescapeQuery decodes every whole escape of a text as querystring.unescape does, with plus as space.
func unescapeQuery(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return validUTF8(strings.ReplaceAll(s, "+", " "))
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
	return validUTF8(b.String())
}

// unhex returns the byte that the two hexadecimal digits at the start of s stand for, or false if there are none.
func unhex(s string) (byte, bool) {
	if len(s) < 2 {
		return 0, false
	}
	high, low := nibbles[s[0]], nibbles[s[1]]
	return (high-1)<<4 | (low - 1), high != 0 && low != 0
}

// nibbles holds the value of each hexadecimal digit plus one.
var nibbles = func() (table [256]byte) {
	for i, digit := range []byte("0123456789abcdef") {
		table[digit] = byte(i) + 1
	}
	for i, digit := range []byte("ABCDEF") {
		table[digit] = byte(i) + 11
	}
	return table
}()

// validUTF8 replaces what is not UTF-8 as Node and browsers do: one U+FFFD for the longest start of a character, or for
// a byte that starts none. (strings.ToValidUTF8 writes one for a whole run of such bytes.)
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
