package legacy

import "strings"

// maxBoundary is the length of the longest boundary of a multipart body, in bytes. RFC 2046 allows 70.
const maxBoundary = 256

// parseMultipart reads a body of the type multipart/form-data, as curl sends it for an array. Its fields are then looked
// up as those of a form. A part that names no field is skipped. The only errors are errMultipart, errBoundary,
// errTransferEncoding and errTooManyParameters.
func parseMultipart(contentType string, body []byte) (form, error) {
	boundary, _ := parameter(contentType, "boundary")
	if boundary == "" || len(boundary) > maxBoundary {
		return form{}, errBoundary
	}
	f := form{plain: true}
	delimiter := "\n--" + boundary
	_, rest, more := cutPart("\n"+string(body), delimiter) // drops what is before the first part
	for parts := 0; more == anotherPart; parts++ {
		if parts == maxParameters {
			return form{}, errTooManyParameters
		}
		var part string
		if part, rest, more = cutPart(rest, delimiter); more == noPart {
			break
		}
		name, value, err := parsePart(part)
		if err != nil {
			return form{}, err
		}
		if name != "" {
			f.fields = append(f.fields, field{name, value})
		}
	}
	if more == noPart {
		return form{}, errMultipart
	}
	f.arrayLimit = max(minArrayLimit, len(f.fields))
	return f, nil
}

// What follows a part.
const (
	noPart      = iota // there is no delimiter: the body is incomplete
	anotherPart        // the delimiter of another part
	lastPart           // the delimiter that ends the body
)

// cutPart splits s at the first line that is a delimiter. rest begins with the end of that line, so that the delimiter
// of the next part may follow at once.
func cutPart(s, delimiter string) (part, rest string, more int) {
	for from := 0; ; {
		at := strings.Index(s[from:], delimiter)
		if at < 0 {
			return "", "", noPart
		}
		part = strings.TrimSuffix(s[:from+at], "\r")
		from += at + len(delimiter)
		if strings.HasPrefix(s[from:], "--") {
			return part, "", lastPart
		}
		end := strings.IndexByte(s[from:], '\n')
		if end >= 0 && strings.TrimRight(s[from:from+end], " \t\r") == "" {
			return part, s[from+end:], anotherPart
		}
	}
}

// parsePart returns the name and the contents of a part, which begins with the end of its delimiter's line. The name is
// empty if the part has none.
func parsePart(part string) (name, contents string, err error) {
	part = strings.TrimPrefix(part, "\n")
	for {
		line, rest, more := strings.Cut(part, "\n")
		if line = strings.TrimSuffix(line, "\r"); line == "" {
			return name, rest, nil
		}
		if !more {
			return "", "", errMultipart
		}
		part = rest
		key, value, _ := strings.Cut(line, ":")
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "content-disposition":
			name, _ = parameter(value, "name")
		case "content-transfer-encoding":
			switch strings.ToLower(strings.TrimSpace(value)) {
			case "", "7bit", "8bit", "binary":
			default:
				return "", "", errTransferEncoding
			}
		}
	}
}
