package legacy

import (
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"strings"

	"github.com/ramainen/doit-socket/ingest/publish"
	"github.com/ramainen/doit-socket/internal/budget"
	"github.com/ramainen/doit-socket/internal/wire"
)

// A mistake is the error of a request, as its sender gets it in the header Doit-Error. With the status 200 it does not
// change the answer, which is that of the original server: OK or ERROR.
type mistake struct {
	kind   string // one of kinds, or kindNone
	status int
	// reason says what is wrong, why, and what to do, in ASCII. It has a text of the sender's only as quote returns it,
	// and never an id or data.
	reason string
}

// Error implements error.
func (m *mistake) Error() string { return m.reason }

// Kinds of mistakes, by which they are counted and logged.
const (
	kindNone            = "" // not the sender's mistake: it is neither counted nor logged as one
	kindNoID            = "no id"
	kindNoMessage       = "no message"
	kindID              = "id"
	kindEvent           = "event"
	kindData            = "data"
	kindReceivers       = "receivers"
	kindEncoding        = "not utf-8"
	kindBody            = "body"
	kindContentType     = "content type"
	kindContentEncoding = "content encoding"
	kindTooLarge        = "too large"
	kindMethod          = "method"
	kindForwarded       = "forwarded"
	kindForeignPage     = "foreign page"
)

var kinds = []string{
	kindNoID, kindNoMessage, kindID, kindEvent, kindData, kindReceivers, kindEncoding, kindBody, kindContentType,
	kindContentEncoding, kindTooLarge, kindMethod, kindForwarded, kindForeignPage,
}

// convert is the cure for a site whose texts are not UTF-8.
const convert = "convert each text before, as by mb_convert_encoding($text, 'UTF-8', 'Windows-1251') or iconv('CP1251', 'UTF-8', $text)"

// Mistakes of a request. Packages publish and wire have those of an emit.
var (
	errMethod     = &mistake{kindMethod, http.StatusMethodNotAllowed, "/emit takes POST and GET: use one of them"}
	errStatMethod = &mistake{kindMethod, http.StatusMethodNotAllowed, "/stat/all takes GET and HEAD: use one of them"}

	errTooLarge = &mistake{kindTooLarge, http.StatusRequestEntityTooLarge, "the body is larger than --max-body allows: send less, or raise it"}
	errBody     = &mistake{kindNone, http.StatusBadRequest, "the request body is incomplete: send all of it, within 30 seconds"}

	errTooManyParameters = &mistake{kindBody, http.StatusBadRequest,
		"the body has more than 10,000 fields: send the data as JSON in the one field data, and more receivers in further emits"}
	errInflate = &mistake{kindContentEncoding, http.StatusBadRequest,
		"the body is not compressed as its Content-Encoding says: send what gzencode (gzip) or gzcompress (deflate) returns, or drop the header"}
	errBoundary = &mistake{kindBody, http.StatusBadRequest,
		"the Content-Type multipart/form-data has no boundary: let curl set the header, by an array for CURLOPT_POSTFIELDS"}
	errMultipart = &mistake{kindBody, http.StatusBadRequest,
		"the body is not the multipart/form-data that its Content-Type announces: let curl set the header, by an array for CURLOPT_POSTFIELDS"}
	errTransferEncoding = &mistake{kindBody, http.StatusBadRequest, "a part has a Content-Transfer-Encoding that is not read: send 8bit or none"}
	errNotJSON          = &mistake{kindBody, http.StatusBadRequest,
		"the body is not the JSON that its Content-Type announces: send json_encode($fields), or a form as application/x-www-form-urlencoded"}
	errNotObject = &mistake{kindBody, http.StatusBadRequest,
		`the JSON of the body is not an object: send {"id": "...", "message": "...", "data": ...}`}
	errJSONAsForm = &mistake{kindContentType, http.StatusOK,
		"the body looks like JSON, but its Content-Type says that it is a form: send the header Content-Type: application/json"}

	errMessageType   = &mistake{kindEvent, http.StatusBadRequest, "message, the event's name, is not a string: send one"}
	errIDType        = &mistake{kindID, http.StatusBadRequest, "an id is neither a string nor a whole number: send one of them, or a list of them"}
	errIDNumber      = &mistake{kindID, http.StatusBadRequest, "an id is a number with a fraction or an exponent, which may have lost digits: send it as a string"}
	errLoneSurrogate = &mistake{kindEncoding, http.StatusBadRequest, `an id or message has half of a surrogate pair, such as \ud800, which is no character: send whole characters`}

	errEmptyID   = &mistake{kindID, http.StatusOK, "the field id is empty: send the id that the page has registered"}
	errEmptyList = &mistake{kindNoID, http.StatusOK, "the field id is an empty list: send at least one id"}
	errArray     = &mistake{kindID, http.StatusOK, "the id is the word Array, which PHP makes of an array: send http_build_query($fields), or JSON"}
	errListInGet = &mistake{kindReceivers, http.StatusOK, "a GET takes one id and one message, so nothing was sent: send several by POST"}

	errNotUTF8     = &mistake{kindEncoding, http.StatusBadRequest, "the body is not UTF-8: " + convert}
	errDataNotUTF8 = &mistake{kindEncoding, http.StatusBadRequest, "the field data is not UTF-8, so it is not JSON: " + convert}
	errNotUTF8Form = &mistake{kindEncoding, http.StatusOK,
		"the form is not UTF-8, so pages get U+FFFD or escapes such as %CF instead of its letters: " + convert}
	errNotUTF8Query = &mistake{kindEncoding, http.StatusOK,
		"the query string is not UTF-8, so pages get U+FFFD instead of its letters: " + convert}

	errForwarded = &mistake{kindForwarded, http.StatusForbidden,
		"a proxy has forwarded the request, and in open mode whoever reaches that could emit to everybody: let PHP ask this server itself, " +
			"at --listen or --emit-listen, or set --open to accept this"}
	errForeignPage = &mistake{kindForeignPage, http.StatusForbidden,
		"a page of another site has sent the request, and in open mode any page could then emit to everybody: let PHP ask this server itself, " +
			"at --listen or --emit-listen, name the site in --origins, or set --open to accept this"}

	errStat = &mistake{kindNone, http.StatusServiceUnavailable,
		"the sum is not known, because NATS or a gateway did not answer: ask again in a second"}
	errUnknown = &mistake{kindNone, http.StatusServiceUnavailable, "the emit failed: the log has the error at --log-level debug"}
)

// causes are the mistakes for errors of other packages. Without a reason it is the text of the error.
var causes = []struct {
	err error
	mistake
}{
	// The original answered so, with the body ERROR.
	{wire.ErrEvent, mistake{kindEvent, http.StatusOK,
		"Socket.IO reserves the event name in message, as connect, disconnect and newListener: choose another"}},
	{wire.ErrData, mistake{kindData, http.StatusBadRequest,
		"the field data is not JSON: send json_encode($data); where that returns false, the data is not UTF-8: " + convert}},
	{wire.ErrID, mistake{kindID, http.StatusBadRequest, "an id is longer than 256 bytes, or not UTF-8: send a shorter one, such as its md5"}},
	{publish.ErrReceivers, mistake{kindReceivers, http.StatusBadRequest, ""}},
	{publish.ErrRepeats, mistake{kindReceivers, http.StatusBadRequest, ""}},
	{publish.ErrTooLarge, mistake{kindTooLarge, http.StatusRequestEntityTooLarge, ""}},
	{publish.ErrEmitBytes, mistake{kindTooLarge, http.StatusRequestEntityTooLarge, ""}},
	{budget.ErrFull, mistake{kindNone, http.StatusServiceUnavailable, ""}},
	{publish.ErrBusy, mistake{kindNone, http.StatusServiceUnavailable, ""}},
	{publish.ErrNotSent, mistake{kindNone, http.StatusServiceUnavailable, ""}},
	{publish.ErrUnconfirmed, mistake{kindNone, http.StatusServiceUnavailable, ""}},
	{publish.ErrUnstable, mistake{kindNone, http.StatusServiceUnavailable, ""}},
}

// mistakeOf returns the mistake that an error is, wraps, or stands for.
func mistakeOf(err error) *mistake {
	var m *mistake
	if errors.As(err, &m) {
		return m
	}
	for i := range causes {
		if c := &causes[i]; errors.Is(err, c.err) {
			m := c.mistake
			if m.reason == "" {
				m.reason = c.err.Error()
			}
			return &m
		}
	}
	return errUnknown
}

// missing is the mistake of a request without this field.
func missing(field string, names iter.Seq[string]) *mistake {
	m := &mistake{kind: kindNoID, status: http.StatusOK}
	if field == "message" {
		m.kind = kindNoMessage
	}
	m.reason = "there is no field " + field
	if instead := mistaken(field, names); instead != "" {
		m.reason += didYouMean(field, instead)
	} else {
		m.reason += ": send id (who shall hear), message (the event's name) and data (JSON)"
	}
	return m
}

// missingInQuery is the mistake of a GET without this field.
func missingInQuery(field, rawQuery string) *mistake {
	params := parseQuery(rawQuery)
	for _, p := range params {
		if strings.HasPrefix(p.name, field+"[") {
			return &mistake{kindReceivers, http.StatusOK, "a GET takes one " + field + ", without brackets: send several by POST"}
		}
	}
	return missing(field, func(yield func(string) bool) {
		for _, p := range params {
			if !yield(p.name) {
				return
			}
		}
	})
}

func didYouMean(field, instead string) string {
	return fmt.Sprintf("; did you mean %s instead of %s?", field, instead)
}

// meant has the fields for which other names are taken, in lower case.
var meant = map[string]string{
	"id": "id", "ids": "id", "userid": "id", "userids": "id", "user_id": "id", "user_ids": "id", "user": "id", "users": "id",
	"uid": "id", "to": "id", "receiver": "id", "receivers": "id", "recipient": "id", "recipients": "id", "room": "id", "channel": "id",
	"message": "message", "msg": "message", "event": "message", "eventname": "message", "event_name": "message", "name": "message", "type": "message",
	"data": "data", "payload": "data", "args": "data", "params": "data", "json": "data", "content": "data", "body": "data",
}

// mistaken returns the first name that was probably taken for the field, as it may stand in a header; "" if there is
// none.
func mistaken(field string, names iter.Seq[string]) string {
	for name := range names {
		if name != field && len(name) <= maxQuote && meant[strings.ToLower(strings.TrimSpace(name))] == field {
			return strings.Trim(quote(name), `"`)
		}
	}
	return ""
}

// maxQuote is how many bytes of a text quote keeps.
const maxQuote = 80

// quote returns the beginning of a text that a stranger has sent, in quotes and with escapes, as ASCII.
func quote(text string) string {
	if len(text) > maxQuote {
		return strconv.QuoteToASCII(text[:maxQuote]) + "..."
	}
	return strconv.QuoteToASCII(text)
}
