package wire

// A Message is an event, or an operation, on its way to the sockets of one
// user. Its options travel as headers; a message without options has none.
type Message struct {
	// Subject is the user's; see [Subject].
	Subject string
	// Payload is the JSON array ["event", arg, ...], as [Encode] returns it.
	// An operation has none.
	Payload []byte
	// Op asks for something other than delivery: [OpCount] or [OpDisconnect].
	Op string
	// Except is the Socket.IO id of a socket that does not get the event.
	Except string
}

// Header returns the message's options as headers, nil if it has none. The
// result has the underlying type of a NATS header.
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

// ParseMessage reads what was published: the opposite of [Message.Header].
// Headers that this version does not know are ignored.
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
