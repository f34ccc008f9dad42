package sio

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/zishang520/socket.io-go-parser/v2/parser"

	"github.com/ramainen/doit-socket/gateway/eio"
	"github.com/ramainen/doit-socket/internal/wire"
)

var (
	errPending     = fmt.Errorf("not registered: %d registrations of this page are not answered yet; try again after an answer", maxPending)
	errNodePending = errors.New("not registered: too many registrations wait on this server; try again in 5 seconds")
)

// onEvent handles register and unregister. Other events have no effect, and are answered and counted as such.
func (c *client) onEvent(s *socket, p packet) {
	name, args, ok := p.event()
	if !ok || wire.Reserved(name) {
		if p.kind != parser.BINARY_EVENT { // of these nothing else is used, and so nothing else is checked
			c.session.Close(eio.ReasonProtocol)
		}
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
	default:
		c.onUnknown(s, p.ack, name, args)
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
// ack, if the page asked for one. A refusal that the page does not get is a
// warning in the log. It may be called from any goroutine.
func (c *client) answer(s *socket, event, ack string, err error) {
	result := "ok"
	if err != nil {
		result = "refused"
		reason := reasonOf(err)
		c.server.metrics.refused.WithLabelValues(reason).Inc()
		if ack == "" && reason != reasonGone {
			// The log has one line a minute of each message: of each event and reason.
			c.server.log.Warn(fmt.Sprintf("a page's %s was refused (%s), and the page is not told, because it passed no callback", event, reason),
				slog.Any("error", err))
		} else {
			c.server.log.Debug("registration refused", slog.String("event", event), slog.Any("error", err))
		}
	}
	c.server.metrics.registrations.WithLabelValues(event, result).Inc()
	s.acknowledge(ack, resultOf(err))
}

// resultOf returns the arguments of an ack: [{"ok":true}], or the error.
func resultOf(err error) []byte {
	if err == nil {
		return []byte(`[{"ok":true}]`)
	}
	answer := wire.AppendString([]byte(`[{"ok":false,"error":`), err.Error())
	return append(answer, `}]`...)
}
