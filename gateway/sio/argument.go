package sio

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"

	"github.com/ramainen/doit-socket/gateway/hub"
	"github.com/ramainen/doit-socket/internal/rawjson"
	"github.com/ramainen/doit-socket/internal/wire"
)

// Errors of the argument of register and unregister. The page gets their texts.
var (
	errArgument = errors.New(`the argument is no object: send {"userid": id}, where id is a string, a number or a list of them`)
	errNoUserID = errors.New(`the object has no member "userid", in small letters: send {"userid": id}, where id is a string, a number or a list of them`)
	errUserID   = errors.New(`that is no id: send {"userid": id}, where id is a string, a number or a list of them`)
	errBinary   = errors.New(`the id is binary data: send it as a string, {"userid": "..."}`)
	errNumber   = errors.New(`the id is a number beyond 9007199254740991, which browsers round, so that two ids become one: send it as a string, {"userid": "..."}`)
)

// largestNumber is the largest number that is an id, 2^53-1. Browsers round larger integers: two ids of a database would
// be one, and a user would get the events of another. A page may have rounded such a number before it sent it, so that
// its digits tell nothing.
const largestNumber = 1<<53 - 1

// userSubjects returns the subjects for {"userid": id | [id, ...]}. It returns an error if an id is invalid or if there
// are more than limit.
func userSubjects(args []json.RawMessage, limit int) ([]string, error) {
	if len(args) == 0 || args[0][0] != '{' {
		return nil, errArgument
	}
	ids := userIDOf(args[0])
	if ids == nil {
		return nil, errNoUserID
	}
	list := []json.RawMessage{ids}
	if ids[0] == '[' {
		list = elements(ids, limit+1)
		if len(list) == 0 {
			return nil, errUserID
		}
		if len(list) > limit {
			return nil, hub.TooManyUsers(limit)
		}
	}
	subjects := make([]string, 0, len(list))
	for _, raw := range list {
		id, err := userID(raw)
		if err != nil {
			return nil, err
		}
		subject, err := wire.Subject("", id)
		if err != nil {
			return nil, err
		}
		subjects = append(subjects, subject)
	}
	return subjects, nil
}

// userIDOf returns the member "userid" of a valid JSON object, or nil if there is none. Of several it returns the last, as
// JSON.parse does. Unlike encoding/json it takes no other spelling for it: the original server knew none, and a script
// that repeats a register knows none either. It decodes no other member, and copies nothing.
func userIDOf(object json.RawMessage) (id json.RawMessage) {
	for name, value := range rawjson.Members(object) {
		if isUserID(name) {
			id = value
		}
	}
	return id
}

// isUserID reports whether a JSON string is "userid", however it is escaped.
func isUserID(name json.RawMessage) bool {
	const plain, longest = `"userid"`, len(`"\u0000\u0000\u0000\u0000\u0000\u0000"`)
	if bytes.IndexByte(name, '\\') < 0 || len(name) > longest {
		return string(name) == plain
	}
	var decoded string
	return json.Unmarshal(name, &decoded) == nil && decoded == "userid"
}

// userID returns an id as JavaScript prints it, so 42 and "42" are the same id.
func userID(raw json.RawMessage) (string, error) {
	switch raw[0] {
	case '"':
		if bytes.IndexByte(raw, '\\') < 0 {
			return string(raw[1 : len(raw)-1]), nil // the text is UTF-8: decoding it would change nothing
		}
		var id string
		if json.Unmarshal(raw, &id) != nil {
			return "", errUserID
		}
		return id, nil
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		var id float64
		if json.Unmarshal(raw, &id) != nil || math.Abs(id) > largestNumber && math.Trunc(id) == id {
			return "", errNumber
		}
		text, err := json.Marshal(id) // prints numbers as ECMAScript does
		return string(text), err
	case '{':
		if bytes.HasPrefix(raw, []byte(`{"_placeholder":`)) { // what a client puts in the place of binary data
			return "", errBinary
		}
	}
	return "", errUserID
}

// elements returns the first elements of a valid JSON array, at most most of them. It returns nil at an element that is a
// list or an object, which is no id. The elements are parts of array.
func elements(array json.RawMessage, most int) (list []json.RawMessage) {
	for element := range rawjson.Elements(array) {
		switch {
		case len(list) == most:
			return list
		case element[0] == '[', element[0] == '{':
			return nil
		}
		list = append(list, element)
	}
	return list
}
