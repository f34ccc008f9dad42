package sio

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/ramainen/doit-socket/gateway/eio"
	"github.com/ramainen/doit-socket/gateway/hub"
	"github.com/ramainen/doit-socket/internal/wire"
)

var (
	errUserID      = errors.New(`expected {"userid": id}, where id is a string, a number or a list of them`)
	errPending     = fmt.Errorf("not registered: %d registrations of this page are not answered yet; try again after an answer", maxPending)
	errNodePending = errors.New("not registered: too many registrations wait on this server; try again in 5 seconds")
)

// onEvent handles register and unregister. It ignores other events.
func (c *client) onEvent(s *socket, p packet) {
	name, args, ok := p.event()
	if !ok || wire.Reserved(name) {
		c.session.Close(eio.ReasonProtocol)
		return
	}
	switch name {
	case "register":
		if err := c.register(s, p.ack, args); err != nil {
			c.answer(s, name, p.ack, err)
		}
	case "unregister":
		subjects, err := userSubjects(args, c.server.MaxIDs)
		if err == nil {
			c.withdraw(s, subjects)
			c.server.hub.Unregister(&s.member, subjects)
		}
		c.answer(s, name, p.ack, err)
	}
}

// register handles a register event: it submits the registration, at once or later, or returns an error.
func (c *client) register(s *socket, ack string, args []json.RawMessage) error {
	budget := c.server.budget
	if err := budget.check(c.ids); err != nil {
		return err
	}
	subjects, err := userSubjects(args, c.server.MaxIDs)
	if err != nil {
		return err
	}
	r, err := c.begin(s, ack, subjects)
	if err != nil {
		return err
	}
	wait, err := budget.spend(&c.ids, c.session.Address(), len(subjects), c.server.hub.NewUsers(subjects))
	switch {
	case err != nil:
		r.uncount()
		return err
	case wait > 0:
		c.server.metrics.delayed.Inc()
		c.delay(r, wait)
	default:
		r.submit()
	}
	return nil
}

// answer counts the result of a register or unregister event and sends it as an
// ack, if the page asked for one. It may be called from any goroutine.
func (c *client) answer(s *socket, event, ack string, err error) {
	result := "ok"
	answer := []byte(`[{"ok":true}]`)
	if err != nil {
		result = "refused"
		c.server.metrics.refused.WithLabelValues(reasonOf(err)).Inc()
		c.server.log.Debug("registration refused", slog.String("event", event), slog.Any("error", err))
		answer = wire.AppendString([]byte(`[{"ok":false,"error":`), err.Error())
		answer = append(answer, `}]`...)
	}
	c.server.metrics.registrations.WithLabelValues(event, result).Inc()
	s.acknowledge(ack, answer)
}

// userSubjects returns the subjects for {"userid": id | [id, ...]}. It returns
// an error if an id is invalid or if there are more than limit.
func userSubjects(args []json.RawMessage, limit int) ([]string, error) {
	if len(args) == 0 {
		return nil, errUserID
	}
	var arg struct {
		UserID json.RawMessage `json:"userid"`
	}
	if json.Unmarshal(args[0], &arg) != nil || len(arg.UserID) == 0 {
		return nil, errUserID
	}
	list := []json.RawMessage{arg.UserID}
	if arg.UserID[0] == '[' {
		list = elements(arg.UserID, limit+1)
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

// elements returns the first elements of a valid JSON array, at most most of them. It looks at no others. It returns nil
// at an element that is a list or an object, which is no id. The elements are parts of array.
func elements(array json.RawMessage, most int) (list []json.RawMessage) {
	rest := array[1:]
	for len(list) < most {
		rest = bytes.TrimLeft(rest, ", \t\r\n")
		end := 0
		switch rest[0] {
		case ']':
			return list
		case '[', '{':
			return nil
		case '"':
			for end = 1; rest[end] != '"'; end++ {
				if rest[end] == '\\' {
					end++
				}
			}
			end++
		default:
			end = bytes.IndexAny(rest, ",] \t\r\n")
		}
		list, rest = append(list, rest[:end]), rest[end:]
	}
	return list
}

// userID returns an id as JavaScript prints it, so 42 and "42" are the same id.
func userID(raw json.RawMessage) (string, error) {
	if raw[0] == '"' && bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), nil // the text is UTF-8: decoding it would change nothing
	}
	var id any
	if raw[0] == '{' || raw[0] == '[' || json.Unmarshal(raw, &id) != nil {
		return "", errUserID
	}
	switch id := id.(type) {
	case string:
		return id, nil
	case float64:
		text, err := json.Marshal(id) // prints numbers as ECMAScript does
		return string(text), err
	}
	return "", errUserID
}
