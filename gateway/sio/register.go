package sio

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"

	"github.com/ramainen/doit-socket/gateway/eio"
	"github.com/ramainen/doit-socket/gateway/hub"
	"github.com/ramainen/doit-socket/internal/wire"
)

// maxPending is how many registrations of one connection may wait for NATS at
// the same time.
const maxPending = 64

var (
	errUserID  = errors.New(`expected {"userid": id}, where id is a string, a number or a list of them`)
	errPending = errors.New("too many registrations at once")
)

// onEvent handles register and unregister. It ignores other events.
func (c *client) onEvent(s *socket, p packet) {
	name, args, ok := p.event()
	if !ok || wire.Reserved(name) {
		c.session.Close(eio.ReasonProtocol)
		return
	}
	if name != "register" && name != "unregister" {
		return
	}
	subjects, err := userSubjects(args, c.server.MaxIDs)
	switch {
	case err != nil:
		c.answer(s, name, p.ack, err)
	case name == "unregister":
		c.server.hub.Unregister(&s.member, subjects)
		c.answer(s, name, p.ack, nil)
	case c.pending.Add(1) > maxPending:
		c.pending.Add(-1)
		c.answer(s, name, p.ack, errPending)
	default:
		c.server.hub.Register(&s.member, subjects, func(err error) {
			c.pending.Add(-1)
			if err == nil {
				s.markRegistered()
			}
			c.answer(s, name, p.ack, err)
		})
	}
}

// answer counts the result of a register or unregister event and sends it as an
// ack, if the page asked for one. It may be called from any goroutine.
func (c *client) answer(s *socket, event, ack string, err error) {
	result := "ok"
	answer := []byte(`[{"ok":true}]`)
	if err != nil {
		result = "refused"
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

// elements returns the first elements of a JSON array, at most most of them. It
// does not decode the others.
func elements(array json.RawMessage, most int) (list []json.RawMessage) {
	d := json.NewDecoder(bytes.NewReader(array))
	_, _ = d.Token() // the bracket
	for len(list) < most && d.More() {
		var element json.RawMessage
		if d.Decode(&element) != nil {
			return nil
		}
		list = append(list, element)
	}
	return list
}

// userID returns an id as JavaScript prints it, so 42 and "42" are the same id.
func userID(raw json.RawMessage) (string, error) {
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
