package legacy

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/ramainen/doit-socket/internal/rawjson"
	"github.com/ramainen/doit-socket/internal/wire"
)

// fields are the fields of an emit that a body or a query string has.
type fields struct {
	ids      []string // nil if there is no field id
	event    string   // the field message
	hasEvent bool
	data     []byte // nil if there is no field data
	escapes  bool   // a text has escapes that are not UTF-8, which qs leaves as they are
}

// or returns f with the fields of other that f does not have.
func (f fields) or(other fields) fields {
	if f.ids == nil {
		f.ids = other.ids
	}
	if !f.hasEvent {
		f.event, f.hasEvent = other.event, other.hasEvent
	}
	if f.data == nil {
		f.data = other.data
	}
	f.escapes = f.escapes || other.escapes
	return f
}

// emit returns the fields of an emit that a form has.
func (f form) emit() (e fields) {
	e.ids, _ = f.texts("id")
	e.event, e.hasEvent = f.text("message")
	data, hasData := f.text("data")
	if hasData {
		e.data = []byte(data)
	}
	e.escapes = keepsEscapes(data) || keepsEscapes(e.event) || slices.ContainsFunc(e.ids, keepsEscapes)
	return e
}

// A post is what a POST asks for, and what is needed to say what is wrong with it.
type post struct {
	fields

	contentType string
	bodyType    bodyType
	body        []byte
	form        form   // of a form or multipart body
	object      object // of a JSON body
	query       form
	rawQuery    string
}

// parsePost reads the body and the query string of a POST.
func parsePost(r *http.Request, body []byte) (p post, err error) {
	p = post{contentType: r.Header.Get("Content-Type"), body: body, rawQuery: r.URL.RawQuery}
	p.bodyType = typeOf(p.contentType)
	switch p.bodyType {
	case formBody:
		p.form, err = parseForm(string(body))
		p.fields = p.form.emit()
	case multipartBody:
		if len(body) > 0 {
			p.form, err = parseMultipart(p.contentType, body)
			p.fields = p.form.emit()
		}
		if err == nil && !p.valid() {
			err = errNotUTF8
		}
	case jsonBody:
		if p.object, err = parseObject(body); err == nil {
			p.fields, err = p.object.emit()
		}
	case unreadBody:
	}
	if err != nil || p.rawQuery == "" {
		return p, err
	}
	if p.query, err = parseForm(p.rawQuery); err == nil {
		p.fields = p.or(p.query.emit())
	}
	return p, err
}

// valid reports whether the fields are UTF-8.
func (f fields) valid() bool {
	return utf8.Valid(f.data) && utf8.ValidString(f.event) &&
		!slices.ContainsFunc(f.ids, func(id string) bool { return !utf8.ValidString(id) })
}

// missing returns a mistake if the emit has no id or no message.
func (p *post) missing() error {
	var field string
	switch {
	case len(p.ids) == 0:
		field = "id"
	case !p.hasEvent:
		field = "message"
	default:
		return nil
	}
	switch begin := bytes.TrimLeft(p.body, " \t\r\n"); {
	case p.ids != nil && field == "id":
		return errEmptyList
	case p.bodyType == unreadBody && len(p.body) > 0:
		return p.unread()
	case p.bodyType == formBody && len(begin) > 0 && (begin[0] == '{' || begin[0] == '['):
		return errJSONAsForm
	}
	return missing(field, p.names())
}

// unread is the mistake of a body whose type is not read.
func (p *post) unread() error {
	return &mistake{kindContentType, http.StatusOK, fmt.Sprintf("a body with the Content-Type %s is not read: send a form "+
		"(application/x-www-form-urlencoded), application/json or multipart/form-data", quote(p.contentType))}
}

// names yields the names of all fields of the body and of the query string.
func (p *post) names() iter.Seq[string] {
	return func(yield func(string) bool) {
		for name := range rawjson.Members(p.object) {
			if !yield(nameOf(name)) {
				return
			}
		}
		for _, fields := range [][]field{p.form.fields, p.query.fields} {
			for _, f := range fields {
				if root, _, _ := cutRoot(f.key); !yield(root) {
					return
				}
			}
		}
	}
}

// notes are mistakes of a POST that do not keep it from being published; each is nil if it is not made.
type notes struct {
	lost   error // what pages do not get as it was meant
	data   error // why the data is not JSON, if it is not
	nobody error // why nobody is reached, if so
}

// notes looks for such mistakes.
func (p *post) notes() (n notes) {
	switch {
	case p.wasNotUTF8():
		n.lost, n.data = errNotUTF8Form, errDataNotUTF8
	case p.bodyType == unreadBody && len(p.body) > 0:
		n.lost = p.unread()
	case p.data == nil:
		if instead := mistaken("data", p.names()); instead != "" {
			n.lost = &mistake{kindData, http.StatusOK, "there is no field data, so the event carries {}" + didYouMean("data", instead)}
		}
	}
	switch {
	case !slices.ContainsFunc(p.ids, func(id string) bool { return id != "" }):
		n.nobody = errEmptyID
	case len(p.ids) == 1 && p.ids[0] == "Array":
		n.nobody = errArray
	}
	return n
}

// remark returns the error of a POST that was published with err.
func (n notes) remark(reached bool, err error) error {
	switch {
	case n.data != nil && errors.Is(err, wire.ErrData):
		return n.data
	case err != nil:
		return err
	case n.lost == nil && !reached:
		return n.nobody
	}
	return n.lost
}

// wasNotUTF8 reports whether a form or the query string of a POST is not UTF-8, and what was read of it shows that.
func (p *post) wasNotUTF8() bool {
	if !p.escapes {
		return p.form.replaced || p.query.replaced
	}
	return !isUTF8(p.rawQuery) || p.bodyType == formBody && !isUTF8(string(p.body))
}

// keepsEscapes reports whether a text has an escape of a byte that is not ASCII. qs leaves such escapes in a text where
// they are not UTF-8; a page may also mean them.
func keepsEscapes(text string) bool {
	for {
		at := strings.IndexByte(text, '%')
		if at < 0 {
			return false
		}
		text = text[at+1:]
		if c, ok := unhex(text); ok && c >= utf8.RuneSelf {
			return true
		}
	}
}
