package legacy

import "strings"

// A bodyType says how the body of a POST is read.
type bodyType int

const (
	formBody bodyType = iota
	jsonBody
	multipartBody
	unreadBody // its type is none of these: the fields are those of the query string
)

// typeOf returns how a body of this Content-Type is read. An empty type counts as a form, because PHP's stream functions
// send no Content-Type unless the page sets one. Parameters do not matter, however they are written.
func typeOf(contentType string) bodyType {
	switch contentType { // as nearly all clients write it
	case "", "application/x-www-form-urlencoded":
		return formBody
	case "application/json":
		return jsonBody
	}
	switch media := mediaType(contentType); {
	case media == "", media == "application/x-www-form-urlencoded":
		return formBody
	case media == "application/json", media == "text/json",
		strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json"):
		return jsonBody
	case media == "multipart/form-data":
		return multipartBody
	}
	return unreadBody
}

// mediaType returns a Content-Type without its parameters, in lower case. It drops quotes, and what a proxy has joined
// with a comma.
func mediaType(contentType string) string {
	media := strings.TrimLeft(contentType, " \t\"'")
	if end := strings.IndexAny(media, ";, \t\"'"); end >= 0 {
		media = media[:end]
	}
	return strings.ToLower(media)
}

// parameter returns the value of the first parameter of this name in a header such as `form-data; name="id"`. The name is
// in any case, the value is quoted or not, and a quote that is not closed ends with the header.
func parameter(header, name string) (value string, ok bool) {
	for {
		at := strings.IndexAny(header, ";,")
		if at < 0 {
			return "", false
		}
		header = header[at+1:]
		end := strings.IndexAny(header, "=;,")
		if end < 0 {
			return "", false
		}
		key, found := strings.TrimSpace(header[:end]), header[end] == '='
		header = header[end:]
		if !found {
			continue
		}
		value, header = cutValue(strings.TrimLeft(header[1:], " \t"))
		if strings.EqualFold(key, name) {
			return value, true
		}
	}
}

// cutValue splits s into the value of a parameter, with which it begins, and the rest.
func cutValue(s string) (value, rest string) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, ";,")
		if end < 0 {
			end = len(s)
		}
		return strings.TrimRight(s[:end], " \t\r"), s[end:]
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:]
		case s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), ""
}
