package wire

// A Message is an event for the sockets of one user, or an operation on them.
// Its options are sent as NATS headers; a message without options has none.
type Message struct {
	// Subject is the subject of the user; see [Subject].
	Subject string
	// Payload is the JSON array ["event", arg, ...], as [Encode] returns it.
	// An operation has no payload.
	Payload []byte
	// Op is the operation: [OpCount], [OpDisconnect], or "" to deliver the event.
	Op string
	// Except is the Socket.IO id of a socket that does not get the event.
	Except string
}

// Header returns the message's options as headers, or nil if it has none. The
// result can be converted to a nats.Header.
func (m Message) Header() map[string][]string {
	var h map[string][]string
	for _, option := range []struct{ name, value string }{{HeaderOp, m.Op}, {HeaderExcept, m.Except}} {
		if option.value == "" {
			continue
		}
		if h == nil {
			h = make(map[string][]string, 1)
		}
		h[option.name] = []string{option.value}
	}
	return h
}

// ParseMessage returns the message that was published: it is the inverse of
// [Message.Header]. It ignores unknown headers.
func ParseMessage(subject string, header map[string][]string, payload []byte) Message {
	m := Message{Subject: subject, Payload: payload}
	if len(header) > 0 {
		m.Op, m.Except = first(header[HeaderOp]), first(header[HeaderExcept])
	}
	return m
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}
