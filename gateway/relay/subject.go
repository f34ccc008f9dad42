package relay

import (
	"strconv"
	"strings"
)

// prefix, followed by a node's name, is the subject on which the node hears others.
const prefix = "doit.node."

// nobody, followed by the id of a stream, follows in the reply subject of the
// message that opens it. NATS answers there if there is no such node.
const nobody = ".nobody."

// subjectOf returns the subject of a node.
func subjectOf(node string) string { return prefix + node }

// subjectNobody returns the reply subject of a stream that the node opens.
func subjectNobody(node string, id uint64) string {
	return prefix + node + nobody + strconv.FormatUint(id, 10)
}

// subjectNobodies returns the pattern of the reply subjects of all streams that the node opens.
func subjectNobodies(node string) string { return prefix + node + nobody + "*" }

// streamOf returns the id that subjectNobody has put into a subject.
func streamOf(subject string) (id uint64, ok bool) {
	id, err := strconv.ParseUint(subject[strings.LastIndexByte(subject, '.')+1:], 10, 64)
	return id, err == nil
}
