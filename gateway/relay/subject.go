package relay

import (
	"strconv"
	"strings"
)

// prefix begins a node's subject: prefix and the node's name. Other nodes publish their messages
// for the node on it.
const prefix = "doit.node."

// nobody is the part of a reply subject between the node's subject and the id of a stream. kindOpen
// has that reply subject: NATS answers "no responders" on it if no node has the name.
const nobody = ".nobody."

// subjectOf returns the subject of a node.
func subjectOf(node string) string { return prefix + node }

// subjectNobody returns the reply subject of the kindOpen of a stream that the node opens.
func subjectNobody(node string, id uint64) string {
	return prefix + node + nobody + strconv.FormatUint(id, 10)
}

// subjectNobodies returns the subject, with a wildcard, of all reply subjects of the node.
func subjectNobodies(node string) string { return prefix + node + nobody + "*" }

// streamOf returns the id of the stream in a subject made by subjectNobody.
func streamOf(subject string) (id uint64, ok bool) {
	id, err := strconv.ParseUint(subject[strings.LastIndexByte(subject, '.')+1:], 10, 64)
	return id, err == nil
}
