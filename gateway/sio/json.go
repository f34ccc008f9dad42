package sio

import (
	"bytes"
	"encoding/json"
	"iter"
)

// These read parts of JSON that json.Valid has checked, without decoding or copying the rest of it: a page may send
// 1 MiB of small members, whose decoded form is many times as large.

const blanks = " \t\r\n"

// members returns the names of an object, as JSON strings, with their values. They are parts of object.
func members(object json.RawMessage) iter.Seq2[json.RawMessage, json.RawMessage] {
	return func(yield func(name, value json.RawMessage) bool) {
		rest := object[1:]
		for {
			rest = bytes.TrimLeft(rest, ","+blanks)
			if rest[0] == '}' {
				return
			}
			end := stringEnd(rest)
			name := rest[:end]
			rest = bytes.TrimLeft(rest[end:], ":"+blanks)
			end = valueEnd(rest)
			if !yield(name, rest[:end]) {
				return
			}
			rest = rest[end:]
		}
	}
}

// elements returns the first elements of an array, at most most of them. It looks at no others. It returns nil at an
// element that is a list or an object, which is no id. The elements are parts of array.
func elements(array json.RawMessage, most int) (list []json.RawMessage) {
	rest := array[1:]
	for len(list) < most {
		rest = bytes.TrimLeft(rest, ","+blanks)
		switch rest[0] {
		case ']':
			return list
		case '[', '{':
			return nil
		}
		end := valueEnd(rest)
		list, rest = append(list, rest[:end]), rest[end:]
	}
	return list
}

// valueEnd returns the length of the value at the beginning of rest, which is a part of an array or object and reaches to
// the end of that.
func valueEnd(rest []byte) int {
	depth := 0
	for i := 0; ; i++ {
		switch rest[i] {
		case '"':
			i += stringEnd(rest[i:]) - 1
			if depth == 0 {
				return i + 1
			}
		case '[', '{':
			depth++
		case ']', '}':
			if depth == 0 {
				return i // of a number, true, false or null
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
	}
}

// stringEnd returns the length of the string at the beginning of rest, with its quotes.
func stringEnd(rest []byte) int {
	end := 1
	for ; rest[end] != '"'; end++ {
		if rest[end] == '\\' {
			end++
		}
	}
	return end + 1
}
