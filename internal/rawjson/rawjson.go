// Package rawjson finds the parts of JSON without decoding or copying it: a stranger may send a megabyte of small
// members, whose decoded form is many times as large. Its functions take time for the bytes that they pass, and are
// safe for concurrent use. Their argument must be valid JSON ([json.Valid]); with anything else they may panic.
package rawjson

import (
	"bytes"
	"iter"
	"strings"
)

// Members yields the names of an object, as JSON strings with their quotes, and their values. Both are parts of object.
// An object of no bytes has none.
func Members(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		if len(object) == 0 {
			return
		}
		for rest := skip(object[1:]); rest[0] != '}'; {
			end := valueEnd(rest)
			name := rest[:end]
			rest = skip(rest[end:]) // the colon is one of what it skips
			end = valueEnd(rest)
			if !yield(name, rest[:end]) {
				return
			}
			rest = skip(rest[end:])
		}
	}
}

// Elements yields the elements of a list, which are parts of it.
func Elements(list []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for rest := skip(list[1:]); rest[0] != ']'; {
			end := valueEnd(rest)
			if !yield(rest[:end]) {
				return
			}
			rest = skip(rest[end:])
		}
	}
}

// skip drops what stands between the values of valid JSON.
func skip(s []byte) []byte { return bytes.TrimLeft(s, " \t\r\n,:") }

// valueEnd returns the length of the value with which s begins. s must be the rest of valid JSON.
func valueEnd(s []byte) int {
	switch s[0] {
	case '"':
		return stringEnd(s)
	case '{', '[':
		depth := 0
		for i := 0; ; i++ {
			switch s[i] {
			case '"':
				i += stringEnd(s[i:]) - 1
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
	}
	end := 0
	for end < len(s) && strings.IndexByte(",]} \t\r\n", s[end]) < 0 {
		end++
	}
	return end
}

func stringEnd(s []byte) int {
	for i := 1; ; i++ {
		switch s[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
}
