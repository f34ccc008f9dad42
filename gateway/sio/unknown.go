package sio

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/ramainen/doit-socket/internal/rawjson"
	"github.com/ramainen/doit-socket/internal/typo"
)

// errUnknown is the answer to an event other than register and unregister.
var errUnknown = errors.New(`this server knows the events "register" and "unregister" only: send everything else to your own server, by HTTP`)

// Kinds of events that have no effect, as the metric names them.
const (
	// unknownMisspelt has a name like register, or an argument like its own: somebody meant it, and his page is deaf.
	unknownMisspelt = "misspelt"
	// unknownOther was ignored by the original server, too.
	unknownOther = "other"
)

// onUnknown answers an event that has no effect, if the page asked for an answer. The log gets a warning of one that was
// meant for register or unregister. It does not get the name: a page may send anything there.
func (c *client) onUnknown(s *socket, ack, name string, args []json.RawMessage) {
	kind := unknownOther
	if misspelt(name) || len(args) > 0 && hasUserID(args[0]) {
		kind = unknownMisspelt
	}
	c.server.metrics.unknown.WithLabelValues(kind).Inc()
	if kind == unknownMisspelt && ack == "" {
		c.server.log.Warn(`a page sent an event that has no effect, though it looks like a "register" or "unregister", and the page is not told, ` +
			`because it passed no callback: look for a misspelt emit in its script`)
	}
	s.acknowledge(ack, resultOf(errUnknown))
}

// misspelt reports whether an event's name is nearly register or unregister: in other letters, with something between
// them, or with up to two letters too many, missing or wrong.
func misspelt(name string) bool {
	plain := plainName(name)
	return near(plain, "register") || near(plain, "unregister")
}

// hasUserID reports whether JSON is an object with a member whose name is userid or nearly that.
func hasUserID(raw json.RawMessage) bool {
	if raw[0] != '{' {
		return false
	}
	for name := range rawjson.Members(raw) {
		if len(name) < 20 && plainName(string(name[1:len(name)-1])) == "userid" {
			return true
		}
	}
	return false
}

// plainName returns the beginning of a name in small letters, without what is often between its words.
func plainName(name string) string {
	const longest = 64
	return strings.ToLower(separators.Replace(name[:min(len(name), longest)]))
}

var separators = strings.NewReplacer("_", "", "-", "", " ", "", ":", "", ".", "")

// mostFaults is how many letters of a misspelt name are too many, missing or wrong.
const mostFaults = 2

// near reports whether a name has at most mostFaults. Two letters that are exchanged are two that are wrong.
func near(name, meant string) bool {
	if len(name) > len(meant)+mostFaults || len(name) < len(meant)-mostFaults {
		return false
	}
	return typo.Distance(name, meant) <= mostFaults
}
